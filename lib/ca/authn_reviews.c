/* authn_reviews - asks the kube-apiserver about tokens: remembered for a short time, once for all who bring the same token, and at a
 * bounded rate. */
#include "ca/authn_priv.h"

#include "base/clock.h"
#include "base/map.h"
#include "base/metric.h"
#include "ca/authn_jwt.h"
#include "ca/authn_review.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

enum {
	REVIEWS_PER_S = 50,
	KNOWN_MAX = 16384,  /* some 800 bytes each */
	YES_MS = 60 * 1000, /* how long a deleted account's token may still be believed */
	NO_MS = 5 * 1000,   /* an account made a moment ago must not wait long */
	ASK_TIMEOUT_MS = 10 * 1000,
	QUEUED_MAX = 1000, /* tokens that wait for the rate: 20 s of it */
	ANSWER_BYTES_MAX = 256 * 1024,
};

enum state { QUEUED, ASKED, KNOWN };
struct review {
	struct authn_reviews *home;
	unsigned char hash[SHA256_DIGEST_LENGTH]; /* of the token: a key that nobody can choose to collide */
	enum state state;
	int64_t until_ms;               /* KNOWN: monotonic */
	int64_t exp_s;                  /* the token's own end; 0: not said */
	const struct cox_identity *who; /* NULL: refused */
	char reason[160];
	struct cox_str token; /* heap, wiped with the answer */
	struct authn_queue waiting;
	struct cox_kube_request *request;
	struct review *next; /* QUEUED: in line to be asked; KNOWN: in order of arrival */
};
struct line {
	struct review *first, **last;
	size_t n;
};
struct authn_reviews {
	struct cox_authn *a;
	struct cox_map all; /* by hash */
	struct line queued, known;
	struct cox_timer *timer; /* runs while something is queued */
	double tokens;           /* of the rate */
	int64_t filled_ms;
};

static struct cox_str key_of(const struct review *r) { return cox_str_make(r->hash, sizeof(r->hash)); }

static void line_add(struct line *l, struct review *r)
{
	r->next = NULL;
	*l->last = r;
	l->last = &r->next;
	l->n++;
}

static struct review *line_take(struct line *l)
{
	struct review *r = l->first;
	if (!r)
		return NULL;
	l->first = r->next;
	if (!l->first)
		l->last = &l->first;
	l->n--;
	return r;
}

static void token_wipe(struct review *r)
{
	if (r->token.p)
		OPENSSL_cleanse((void *)(uintptr_t)r->token.p, r->token.n);
	cox_free((void *)(uintptr_t)r->token.p);
	r->token = (struct cox_str){ 0 };
}

static void review_free(struct review *r)
{
	cox_kube_request_close(&r->request);
	cox_identity_unref(r->who);
	token_wipe(r);
	cox_free(r);
}

/* --- what is known ------------------------------------------------------------------------------------------------------ */

static bool is_over(const struct review *r, int64_t now_ms, int64_t now_s)
{
	return now_ms >= r->until_ms || (r->exp_s && now_s >= r->exp_s);
}

/* Answers do not leave in the order of their ends (a token's own end may be near), but none stays for longer than the longest time. */
static void forget_old(struct authn_reviews *s)
{
	int64_t now_ms = cox_clock_mono_ms(), now_s = cox_clock_wall_ms() / 1000;
	while (s->known.first && (s->known.n > KNOWN_MAX || is_over(s->known.first, now_ms, now_s))) {
		struct review *r = line_take(&s->known);
		/* One that was replaced is not in the map any more. */
		if (cox_map_find(&s->all, key_of(r)) == r)
			cox_map_remove(&s->all, key_of(r));
		review_free(r);
	}
}

static void tell(struct review *r, bool is_unavailable)
{
	for (struct cox_authn_ticket *t; (t = authn_queue_take(&r->waiting));) {
		t->is_unavailable |= is_unavailable;
		if (!r->who)
			authn_refuse(t, "TokenReview", "%s", r->reason);
		authn_go_on(t, r->who ? AUTHN_YES : AUTHN_NO, r->who);
	}
}

static void set_known(struct review *r, const struct cox_identity *who, const char *reason)
{
	r->state = KNOWN;
	r->who = who;
	cox_str_to_cstr(cox_str_of(reason), r->reason, sizeof(r->reason));
	r->until_ms = cox_clock_mono_ms() + (who ? YES_MS : NO_MS);
	token_wipe(r);
	line_add(&r->home->known, r);
	tell(r, false);
}

/* The server did not say yes or no: nothing is remembered. */
static void set_unknown(struct review *r, const char *reason)
{
	cox_map_remove(&r->home->all, key_of(r));
	cox_str_to_cstr(cox_str_of(reason), r->reason, sizeof(r->reason));
	tell(r, true);
	review_free(r);
}

/* --- asking ------------------------------------------------------------------------------------------------------------- */

static const struct cox_identity *identity_of(const struct cox_authn *a, const struct cox_review *v, struct cox_arena *arena,
                                              struct cox_err *err)
{
	struct cox_identity who = {
		.how = COX_AUTHN_TOKEN_REVIEW, .pod_name = v->pod_name, .pod_uid = v->pod_uid, .node_name = v->node_name
	};
	return authn_identity_set_account(a, &who, v->ns, v->service_account, arena, err) == COX_OK ? authn_identity_make(&who) : NULL;
}

static void on_answer(void *ctx, struct cox_kube_request *request, enum cox_rc rc, int status, struct cox_str body,
                      const struct cox_err *err)
{
	struct review *r = ctx;
	const struct cox_authn *a = r->home->a;
	COX_AUTO(cox_arena_fini) struct cox_arena arena = { 0 };
	struct cox_review said;
	struct cox_err why = { 0 };
	(void)request;
	r->request = NULL;
	if (rc != COX_OK) {
		char text[160];
		cox_metric_add(COX_M_TOKEN_REVIEWS, "unavailable", 1);
		cox_err_set(&why, COX_EAGAIN, NULL, "the kube-apiserver cannot be asked now (%d: %.100s)", status,
		            err ? err->text : cox_rc_text(rc));
		set_unknown(r, cox_str_to_cstr(cox_str_of(why.text), text, sizeof(text)));
		return;
	}
	rc = cox_review_read(body, a->audiences, a->audience_n, &arena, &said, &why);
	if (rc == COX_EPROTO) {
		cox_metric_add(COX_M_TOKEN_REVIEWS, "unavailable", 1);
		set_unknown(r, why.text);
		return;
	}
	const struct cox_identity *who = rc == COX_OK ? identity_of(a, &said, &arena, &why) : NULL;
	cox_metric_add(COX_M_TOKEN_REVIEWS, who ? "accepted" : "refused", 1);
	set_known(r, who, why.text);
}

static void ask(struct review *r)
{
	COX_ASSERT(r);
	const struct cox_authn *a = r->home->a;
	struct cox_buf body = { 0 };
	cox_review_write(r->token, a->audiences, a->audience_n, &body);
	r->state = ASKED;
	cox_kube_request_open(a->spec.kube,
	                      &(struct cox_kube_request_spec){ .method = "POST",
	                                                       .path = COX_STR("/apis/authentication.k8s.io/v1/tokenreviews"),
	                                                       .body = cox_buf_str(&body),
	                                                       .timeout_ms = ASK_TIMEOUT_MS,
	                                                       .max_body_bytes = ANSWER_BYTES_MAX },
	                      &(struct cox_kube_request_cb){ .on_done = on_answer, .ctx = r }, &r->request);
	OPENSSL_cleanse(body.p, body.cap);
	cox_buf_fini(&body);
}

static bool take_rate(struct authn_reviews *s)
{
	int64_t now = cox_clock_mono_ms();
	double rate = s->a->spec.reviews_per_s;
	s->tokens += (double)(now - s->filled_ms) * rate / 1000;
	s->filled_ms = now;
	if (s->tokens > rate)
		s->tokens = rate; /* one second's worth may come at once */
	if (s->tokens < 1)
		return false;
	s->tokens -= 1;
	return true;
}

static void on_timer(void *arg)
{
	struct authn_reviews *s = arg;
	while (s->queued.first && take_rate(s))
		ask(line_take(&s->queued));
	forget_old(s);
	if (!s->queued.first)
		cox_timer_stop(s->timer);
}

static struct review *review_start(struct authn_reviews *s, const unsigned char *hash, struct cox_str token, int64_t exp_s)
{
	struct review *r = COX_NEW(struct review);
	char *copy = cox_alloc(token.n);
	memcpy(copy, token.p, token.n);
	*r = (struct review){ .home = s, .exp_s = exp_s, .token = cox_str_make(copy, token.n) };
	memcpy(r->hash, hash, sizeof(r->hash));
	r->waiting.last = &r->waiting.first;
	cox_map_set(&s->all, key_of(r), r);
	return r;
}

static enum authn_says wait_for(struct cox_authn_ticket *t, struct review *r)
{
	if (r->waiting.n >= AUTHN_WAITING_MAX) {
		t->is_unavailable = true;
		return authn_refuse(t, "TokenReview", "too many wait for the answer about this token");
	}
	authn_queue_add(&r->waiting, t);
	return AUTHN_WAIT;
}

static enum authn_says ask_or_queue(struct authn_reviews *s, struct cox_authn_ticket *t, const unsigned char *hash, int64_t exp_s)
{
	bool has_rate = s->queued.n == 0 && take_rate(s);
	if (!has_rate && s->queued.n >= QUEUED_MAX) {
		t->is_unavailable = true;
		cox_metric_add(COX_M_TOKEN_REVIEWS, "limited", 1);
		return authn_refuse(t, "TokenReview", "too many tokens to ask about");
	}
	struct review *r = review_start(s, hash, t->token, exp_s);
	enum authn_says says = wait_for(t, r);
	if (has_rate) {
		ask(r);
	} else {
		line_add(&s->queued, r);
		if (!cox_timer_is_running(s->timer))
			cox_timer_start(s->timer, 20, 20);
	}
	return says;
}

enum authn_says authn_try_review(struct cox_authn_ticket *t)
{
	struct cox_authn *a = t->a;
	struct authn_reviews *s = a->reviews;
	unsigned char hash[SHA256_DIGEST_LENGTH];
	struct cox_jwt jwt;
	struct cox_err err = { 0 };
	int64_t now_s = cox_clock_wall_ms() / 1000;
	if (!s)
		return authn_refuse(t, "TokenReview", "there is no kube-apiserver to ask");
	if (t->cluster_id.n && !cox_str_eq(t->cluster_id, a->spec.cluster_id))
		return authn_refuse(t, "TokenReview", "cluster \"%.*s\" is not known, ours is \"%.*s\"",
		                    COX_FMT(cox_str_sub(t->cluster_id, 0, 60)), COX_FMT(cox_str_sub(a->spec.cluster_id, 0, 60)));
	/* What no server could accept does not reach it. The claims are not believed, only held against the token. */
	if (cox_jwt_parse(t->token, &t->arena, &jwt, &err) != COX_OK)
		return authn_refuse(t, "TokenReview", "%s", err.text);
	if (jwt.exp_s && now_s > jwt.exp_s + COX_JWT_SKEW_S)
		return authn_refuse(t, "TokenReview", "the token expired %lld s ago", (long long)(now_s - jwt.exp_s));
	forget_old(s);
	SHA256((const unsigned char *)t->token.p, t->token.n, hash);
	struct review *r = cox_map_find(&s->all, cox_str_make(hash, sizeof(hash)));
	if (r && r->state != KNOWN)
		return wait_for(t, r);
	if (r && !is_over(r, cox_clock_mono_ms(), now_s)) {
		cox_metric_add(COX_M_TOKEN_REVIEWS, "remembered", 1);
		if (!r->who)
			return authn_refuse(t, "TokenReview", "%s", r->reason);
		t->who = cox_identity_ref(r->who);
		return AUTHN_YES;
	}
	if (r)
		cox_map_remove(&s->all, key_of(r)); /* stays in the line of what is known until its turn */
	return ask_or_queue(s, t, hash, jwt.exp_s);
}

struct authn_reviews *authn_reviews_open(struct cox_authn *a)
{
	struct authn_reviews *s = COX_NEW(struct authn_reviews);
	if (a->spec.reviews_per_s == 0)
		a->spec.reviews_per_s = REVIEWS_PER_S;
	s->a = a;
	s->queued.last = &s->queued.first;
	s->known.last = &s->known.first;
	s->tokens = a->spec.reviews_per_s;
	s->filled_ms = cox_clock_mono_ms();
	s->timer = cox_timer_new(a->spec.loop, on_timer, s);
	return s;
}

void authn_reviews_close(struct authn_reviews **sp)
{
	struct authn_reviews *s = *sp;
	*sp = NULL;
	if (!s)
		return;
	cox_timer_free(&s->timer);
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&s->all, e));) {
		struct review *r = e->value;
		if (r->state == KNOWN)
			continue; /* freed with the line below */
		cox_str_to_cstr(COX_STR("the control plane ends"), r->reason, sizeof(r->reason));
		tell(r, true);
		review_free(r);
	}
	for (struct review *r; (r = line_take(&s->known));)
		review_free(r);
	cox_map_fini(&s->all);
	cox_free(s);
}
