/* Any bytes as the body of an AdmissionReview, to both webhooks: every answer is JSON, and an injected pod can be injected again with no
 * change but of the order of things. */
#include "webhook/webhook_priv.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_answer(const struct webhook_review *r, const struct webhook_answer *a)
{
	struct cox_arena arena = { 0 };
	struct cox_buf out = { 0 };
	struct cox_json *doc = NULL;
	webhook_answer_write(&out, r, a);
	if (cox_json_parse(&arena, cox_buf_str(&out), &doc, NULL) != COX_OK || !cox_json_at(doc, "response.uid"))
		abort();
	if (a->patch.n && cox_json_parse(&arena, a->patch, &doc, NULL) != COX_OK)
		abort();
	if (!a->allowed && a->message.n == 0)
		abort();
	cox_buf_fini(&out);
	cox_arena_fini(&arena);
}

static void check_again(const struct cox_inject_config *c, const struct webhook_review *r)
{
	struct cox_arena arena = { 0 };
	struct cox_inject_request q = { .pod = r->object, .ns = r->ns };
	struct cox_inject_result once, again;
	if (cox_inject_pod(c, &q, &arena, &once, NULL) == COX_OK && once.verdict == COX_INJECT_DONE) {
		q.pod = once.pod;
		/* What another injector left in the annotations may make it impossible; it must only be said. */
		struct cox_err err = { 0 };
		if (cox_inject_pod(c, &q, &arena, &again, &err) != COX_OK && !err.text[0])
			abort();
	}
	cox_arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct cox_inject_config *config;
	if (!config) {
		struct cox_arena scratch = { 0 };
		struct cox_diags diags = { .arena = &scratch };
		if (cox_inject_config_build(&(struct cox_inject_sources){ .config = COX_STR("{}") }, &diags, &config, NULL) != COX_OK)
			abort();
		cox_arena_fini(&scratch);
	}
	struct cox_arena arena = { 0 };
	struct webhook_review r;
	struct webhook_answer a;
	struct cox_err err = { 0 };
	if (webhook_review_parse(&arena, cox_str_make(data, size), &r, &err) == COX_OK) {
		webhook_inject(config, size % 2, &r, COX_STR("/cluster/c/net/n"), &arena, &a);
		check_answer(&r, &a);
		webhook_validate(NULL, &r, &arena, &a);
		check_answer(&r, &a);
		check_again(config, &r);
	} else if (!err.text[0]) {
		abort();
	}
	cox_arena_fini(&arena);
	return 0;
}
