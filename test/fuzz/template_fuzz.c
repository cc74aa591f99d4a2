/* Any bytes as a template, in each dialect: it ends within its limits, with a text or with a fault that names template and line. */
#include "template/template.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char tree[] = "{\"name\":\"web\",\"n\":3,\"yes\":true,\"nothing\":null,\"list\":[\"a\",{\"b\":1}],"
                           "\"map\":{\"z\":1,\"y\":{\"x\":\"deep\"}},\"Values\":{\"global\":{\"hub\":\"h\"}},\"t\":\"{{ .name }}\"}";

static void run(enum cox_template_dialect dialect, struct cox_str text)
{
	struct cox_arena arena = { 0 };
	struct cox_buf out = { 0 };
	struct cox_err err = { 0 };
	struct cox_json *json = NULL;
	if (cox_json_parse(&arena, cox_str_of(tree), &json, NULL) != COX_OK)
		abort();
	struct cox_template_value dot = cox_template_of_json(&arena, json);
	struct cox_template_set *set = cox_template_set_new(dialect, NULL, 0);
	enum cox_rc rc = cox_template_set_add(set, COX_STR("t"), text, &err);
	if (rc == COX_OK && cox_template_set_has(set, COX_STR("t")))
		rc = cox_template_run(&(struct cox_template_run_spec){ .set = set, .name = COX_STR("t"), .dot = &dot }, &arena, &out, &err);
	if (rc != COX_OK && (err.rc != rc || !err.text[0] || !err.path[0] || err.line < 0))
		abort();
	if (out.n > COX_TEMPLATE_OUTPUT_BYTES_MAX)
		abort();
	cox_buf_fini(&out);
	cox_template_set_free(&set);
	cox_arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cox_str text = cox_str_make(data, size);
	run(COX_TEMPLATE_SPRIG, text);
	run(COX_TEMPLATE_HELM, text);
	return 0;
}
