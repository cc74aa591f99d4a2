/* Any JSON as a config dump, and any expression: the walk ends, and a replacement with \0 changes nothing. First line: a request. */
#include "oracle/oracle.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void regex_try(struct cox_arena *a, struct cox_str re, struct cox_str text)
{
	struct cox_regex *r = NULL;
	struct cox_err err = { 0 };
	/* What a program costs is bounded by its steps and the text: keep both small here. */
	if (re.n > 64 || cox_regex_build(a, re, &r, &err) != COX_OK)
		return;
	(void)cox_regex_matches_all(r, cox_str_sub(text, 0, 64), a);
	struct cox_str s = cox_str_sub(text, 0, 64);
	if (!cox_str_eq(cox_regex_replace_all(r, s, COX_STR("\\0"), a), s))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cox_arena a = { 0 };
	struct cox_oracle o = { 0 };
	struct cox_oracle_walk w;
	struct cox_json *tree = NULL;
	struct cox_str rest = cox_str_make(data, size), line;
	if (!cox_str_next(&rest, '\n', &line))
		return 0;
	struct cox_oracle_header h = { COX_STR("n"), line };
	struct cox_oracle_request r = { .dst_ip = COX_STR("10.1.0.1"),
		                        .dst_port = 80,
		                        .is_http = true,
		                        .method = COX_STR("GET"),
		                        .authority = COX_STR("h"),
		                        .path = line,
		                        .headers = { &h, 1 },
		                        .sni = line,
		                        .alpn = COX_STR("h2,x") };
	if (rest.p && cox_json_parse(&a, rest, &tree, NULL) == COX_OK) {
		(void)!cox_oracle_add_dump(&o, tree, NULL);
		cox_oracle_add_rendered(&o, tree);
		for (int i = 0; i < 4; i++) {
			r.is_tls = i & 1, r.is_http = !(i & 2);
			cox_oracle_walk(&o, &r, &a, &w);
		}
	} else {
		regex_try(&a, line, rest);
	}
	cox_oracle_fini(&o);
	cox_arena_fini(&a);
	return 0;
}
