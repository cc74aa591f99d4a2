/* coxctl validate: whether objects in files are right, before they are applied. */
#include "verbs.h"

#include "tool/validate.h"

static int validate(struct cox_cli *cli)
{
	struct cox_validate_options o = { .default_ns = cox_cli_str(cli, "namespace"), .istio_ns = cox_cli_str(cli, "istioNamespace") };
	struct cox_arena arena = { 0 };
	struct cox_buf out = { 0 };
	o.file_count = cox_cli_all(cli, "filename", &o.files);
	if (!o.file_count)
		return cox_cli_wrong(cli, "-f is missing: which files, directories, or \"-\" for standard input");
	const struct cox_json *answer = cox_tool_validate(&o, &arena);
	bool is_valid = cox_json_get(answer, COX_STR("valid"))->boolean;
	int status;
	if (cox_str_eq(cox_cli_str(cli, "output"), COX_STR("text"))) {
		cox_tool_validate_write(answer, &out);
		status = cox_cli_print(cli, &out);
	} else {
		status = verb_print_tree(cli, answer);
	}
	cox_buf_fini(&out);
	cox_arena_fini(&arena);
	return status ? status : !is_valid;
}

const struct cox_cli_verb verb_validate = {
	.path = "validate|v",
	.summary = "check objects in files, without a cluster",
	.text =
	    "Says every fault of every object of the mesh's kinds, with its field and line; the admission webhook and a directory of\n"
	    "configuration say the same. Unknown fields are errors. Of Services the ports' names are checked, of Deployments the labels.\n"
	    "What several objects together do wrong is found by \"coxctl analyze\".\n"
	    "Exit status: 0 valid, also with warnings; 1 not; 2 wrong usage.\n",
	.examples = "  coxctl validate -f gateway.yaml\n"
	            "  coxctl validate -f samples/ -o json\n"
	            "  kubectl get services -o yaml | coxctl validate -f -\n",
	.flags =
	    (const struct cox_cli_flag[]){ { "filename", 'f', "FILE|DIR", NULL, "what is checked; - is standard input", COX_CLI_REPEATS },
	                                   VERB_FLAG_OUTPUT("text|json|yaml", "text"),
	                                   { "referential", 'x', NULL, NULL, "", COX_CLI_IGNORED | COX_CLI_HIDDEN },
	                                   VERB_FLAGS_END },
	.run = validate,
};
