#include "verbs.h"

#include "tool/crd.h"

static int generate(struct cox_cli *cli)
{
	struct cox_err err = { 0 };
	if (!cox_cli_has(cli, "out"))
		return cox_cli_wrong(cli, "--out is missing");
	return cox_tool_crd_write_all(cox_cli_get(cli, "out"), &err) == COX_OK ? 0 : cox_cli_fail(cli, &err);
}

const struct cox_cli_verb verb_crd = { .path = "crd", .summary = "the CustomResourceDefinitions of the mesh's kinds" };
const struct cox_cli_verb verb_crd_generate = {
	.path = "crd generate",
	.summary = "write the CustomResourceDefinitions, a file each",
	.flags = (const struct cox_cli_flag[]){ { "out", 0, "DIR", NULL, "where they are written", 0 }, VERB_FLAGS_END },
	.run = generate,
};
