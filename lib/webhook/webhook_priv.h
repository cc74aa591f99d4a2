/* webhook_priv - the review between HTTP and the two verdicts. */
#ifndef COX_WEBHOOK_WEBHOOK_PRIV_H
#define COX_WEBHOOK_WEBHOOK_PRIV_H

#include "webhook/webhook.h"

/* An AdmissionReview's request; all of it points into the parsed body. */
struct webhook_review {
	struct cox_str api_version, uid, operation, ns, name;
	struct cox_str group, version, kind;
	const struct cox_json *object;
	bool dry_run;
};
/* COX_EINVAL: not a review with a request and a uid; `err` says what is missing. */
enum cox_rc webhook_review_parse(struct cox_arena *arena, struct cox_str body, struct webhook_review *out, struct cox_err *err);

struct webhook_answer {
	bool allowed;
	int code;               /* of a refusal: 400 the object cannot be read, 422 it is not valid */
	struct cox_str message; /* of a refusal */
	struct cox_str patch;   /* JSON patch; empty: none */
	const char *left_out;   /* the pod was meant to be injected and is not; why. NULL: else */
	COX_LIST(struct cox_str) warnings;
};
void webhook_answer_write(struct cox_buf *out, const struct webhook_review *r, const struct webhook_answer *a);

/* inject_hook.c: `path` is what follows "/inject". */
void webhook_inject(const struct cox_inject_config *c, bool native, const struct webhook_review *r, struct cox_str path,
                    struct cox_arena *arena, struct webhook_answer *out);
/* validate_hook.c: `s` (may be NULL) is what the object would join; what it refers to and is not there becomes a warning. */
void webhook_validate(const struct cox_snapshot *s, const struct webhook_review *r, struct cox_arena *arena, struct webhook_answer *out);

#endif
