/* Config dumps as somebody's file: tables and selections of any JSON. */
#include "tool/proxyconf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cox_arena arena = { 0 };
	struct cox_json *dump = NULL, *out = NULL;
	struct cox_err err;
	struct cox_buf text = { 0 };
	static const struct cox_proxyconf_filter filters[] = {
		{ .is_brief = true },
		{ .port = 80, .address = COX_STR_INIT("a"), .status = COX_STR_INIT("healthy") },
		{ .names_kinds = true }
	};
	if (cox_json_parse(&arena, cox_str_make(data, size), &dump, NULL) == COX_OK)
		for (int what = 0; what <= COX_PROXYCONF_BOOTSTRAP; what++)
			for (size_t f = 0; f < COX_LEN(filters); f++) {
				(void)!cox_proxyconf_table((enum cox_proxyconf_what)what, dump, &filters[f], &text, &err);
				(void)!cox_proxyconf_select((enum cox_proxyconf_what)what, dump, &filters[f], &arena, &out, &err);
			}
	cox_buf_fini(&text);
	cox_arena_fini(&arena);
	return 0;
}
