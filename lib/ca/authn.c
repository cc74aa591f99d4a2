#include "ca/authn_priv.h"

#include "base/metric.h"
#include "ca/spiffe.h"

#include <openssl/crypto.h>

static enum authn_says try_jwt(struct cox_authn_ticket *t)
{
	if (!t->a->oidc)
		return AUTHN_NO;
	return t->token.n ? authn_try_jwt(t) : AUTHN_NO;
}

static enum authn_says try_review(struct cox_authn_ticket *t)
{
	return t->token.n ? authn_try_review(t) : authn_refuse(t, "bearer token", "none");
}

static enum authn_says (*const order[])(struct cox_authn_ticket *t) = { authn_try_cert, try_jwt, try_review, authn_try_xfcc };

/* --- queues of those who wait ----------------------------------------------------------------------------- */

void authn_queue_add(struct authn_queue *q, struct cox_authn_ticket *t)
{
	t->next = NULL;
	*q->last = t;
	q->last = &t->next;
	q->n++;
}

struct cox_authn_ticket *authn_queue_take(struct authn_queue *q)
{
	struct cox_authn_ticket *t = q->first;
	if (!t)
		return NULL;
	q->first = t->next;
	if (!q->first)
		q->last = &q->first;
	q->n--;
	return t;
}

struct cox_str *authn_split_list(struct cox_str text, struct cox_arena *arena, size_t *n)
{
	size_t commas = 1;
	for (size_t i = 0; i < text.n; i++)
		commas += text.p[i] == ',';
	struct cox_str *out = COX_ARENA_ARRAY(arena, struct cox_str, commas), rest = text, part;
	*n = 0;
	while (text.n && cox_str_next(&rest, ',', &part)) {
		part = cox_str_trim(part);
		if (part.n)
			out[(*n)++] = cox_arena_str(arena, part);
	}
	return out;
}

/* --- life --------------------------------------------------------------------------------------------------- */

static void aliases_free(struct cox_authn *a)
{
	for (size_t i = 0; i < a->alias_n; i++)
		cox_free((void *)(uintptr_t)a->aliases[i].p);
	cox_free(a->aliases);
	a->aliases = NULL;
	a->alias_n = 0;
}

static void authn_unref(struct cox_authn *a)
{
	if (!cox_ref_put(&a->ref))
		return;
	aliases_free(a);
	cox_buf_fini(&a->trust_domain);
	cox_vec_fini(&a->gateways);
	cox_arena_fini(&a->arena);
	cox_free(a);
}

static enum cox_rc configure(struct cox_authn *a, const struct cox_authn_spec *spec, struct cox_err *err)
{
	cox_buf_append_str(&a->trust_domain, spec->trust_domain);
	a->spec.cluster_id = cox_arena_str(&a->arena, spec->cluster_id);
	a->audiences = authn_split_list(spec->audiences.n ? spec->audiences : COX_STR("istio-ca"), &a->arena, &a->audience_n);
	if (!cox_spiffe_is_trust_domain(spec->trust_domain))
		return cox_err_set(err, COX_EINVAL, NULL, "\"%.*s\" is no trust domain", COX_FMT(cox_str_sub(spec->trust_domain, 0, 100)));
	if (a->audience_n == 0)
		return cox_err_set(err, COX_EINVAL, NULL, "TOKEN_AUDIENCES: \"%.*s\" names no audience",
		                   COX_FMT(cox_str_sub(spec->audiences, 0, 100)));
	if (cox_cidrs_parse(spec->trusted_gateway_cidrs, &a->gateways, err) != COX_OK) {
		cox_err_wrap(err, "TRUSTED_GATEWAY_CIDR");
		return COX_EINVAL;
	}
	if (spec->jwt_rule.n && authn_oidc_open(a, spec->jwt_rule, &a->oidc, err) != COX_OK) {
		cox_err_wrap(err, "JWT_RULE");
		return COX_EINVAL;
	}
	a->reviews = spec->kube ? authn_reviews_open(a) : NULL;
	return COX_OK;
}

enum cox_rc cox_authn_open(const struct cox_authn_spec *spec, struct cox_authn **out, struct cox_err *err)
{
	struct cox_authn *a = COX_NEW(struct cox_authn);
	cox_ref_init(&a->ref);
	a->spec = *spec;
	enum cox_rc rc = configure(a, spec, err);
	if (rc != COX_OK) {
		cox_authn_close(&a);
		return rc;
	}
	*out = a;
	return COX_OK;
}

void cox_authn_close(struct cox_authn **ap)
{
	struct cox_authn *a = *ap;
	*ap = NULL;
	if (!a)
		return;
	a->is_closed = true;
	authn_oidc_close(&a->oidc);
	authn_reviews_close(&a->reviews);
	authn_unref(a);
}

struct cox_str cox_authn_trust_domain(const struct cox_authn *a) { return cox_buf_str(&a->trust_domain); }

void cox_authn_set_trust(struct cox_authn *a, struct cox_str trust_domain, const struct cox_str *aliases, size_t n)
{
	if (cox_spiffe_is_trust_domain(trust_domain)) {
		cox_buf_clear(&a->trust_domain);
		cox_buf_append_str(&a->trust_domain, trust_domain);
	}
	aliases_free(a);
	a->aliases = cox_calloc(n ? n : 1, sizeof(*a->aliases));
	for (size_t i = 0; i < n; i++)
		a->aliases[i] = cox_str_make(cox_str_dup_cstr(aliases[i]), aliases[i].n);
	a->alias_n = n;
}

/* --- one ticket: config loop --------------------------------------------------------------------------------- */

enum authn_says authn_refuse(struct cox_authn_ticket *t, const char *who, const char *fmt, ...)
{
	va_list ap;
	cox_buf_printf(&t->reasons, "%s%s: ", t->reasons.n ? "; " : "", who);
	va_start(ap, fmt);
	cox_buf_vprintf(&t->reasons, fmt, ap);
	va_end(ap);
	return AUTHN_NO;
}

static void finish(struct cox_authn_ticket *t)
{
	t->rc = t->who ? COX_OK : t->a->is_closed ? COX_ECANCELED : t->is_unavailable ? COX_EAGAIN : COX_EAUTH;
	if (!t->who)
		cox_err_set(&t->err, t->rc, NULL, "%s", t->a->is_closed ? "the control plane ends" : cox_buf_cstr(&t->reasons));
	cox_metric_add(COX_M_AUTHENTICATIONS, t->who ? cox_authn_how_name(t->who->how) : t->rc == COX_EAUTH ? "refused" : "unavailable", 1);
	cox_hop_return(&t->hop);
}

static void go(struct cox_authn_ticket *t)
{
	while (!t->a->is_closed && t->step < COX_LEN(order)) {
		enum authn_says says = order[t->step](t);
		if (says == AUTHN_WAIT)
			return;
		if (says == AUTHN_YES)
			break;
		t->step++;
	}
	finish(t);
}

void authn_go_on(struct cox_authn_ticket *t, enum authn_says says, const struct cox_identity *who)
{
	if (says == AUTHN_YES) {
		t->who = cox_identity_ref(who);
		finish(t);
		return;
	}
	t->step++;
	go(t);
}

void authn_again(struct cox_authn_ticket *t) { go(t); }

static void on_config_loop(struct cox_loop_task *task)
{
	go((struct cox_authn_ticket *)(void *)((char *)task - offsetof(struct cox_authn_ticket, task)));
}

/* --- from and to the caller's loop --------------------------------------------------------------------------- */

static void ticket_free(struct cox_authn_ticket *t)
{
	if (t->token.p)
		OPENSSL_cleanse((void *)(uintptr_t)t->token.p, t->token.n);
	cox_identity_unref(t->who);
	authn_unref(t->a);
	cox_buf_fini(&t->reasons);
	cox_arena_fini(&t->arena);
	cox_free(t);
}

static void on_arrive(struct cox_hop *h, bool is_canceled)
{
	struct cox_authn_ticket *t = (struct cox_authn_ticket *)(void *)((char *)h - offsetof(struct cox_authn_ticket, hop));
	if (!is_canceled) {
		*t->slot = NULL;
		t->done(t->ctx, t->rc, t->who, &t->err);
	}
	ticket_free(t);
}

static const struct cox_str *copy_list(struct cox_arena *arena, const struct cox_str *items, size_t n)
{
	struct cox_str *out = COX_ARENA_ARRAY(arena, struct cox_str, n ? n : 1);
	for (size_t i = 0; i < n; i++)
		out[i] = cox_arena_str(arena, items[i]);
	return out;
}

static void copy_credentials(struct cox_authn_ticket *t, const struct cox_credentials *c)
{
	static const struct cox_str bearer = COX_STR_INIT("Bearer ");
	struct cox_str scheme = cox_str_sub(c->authorization, 0, bearer.n), token = { 0 };
	if (cox_str_eq_nocase(scheme, bearer)) /* RFC 9110: the scheme's case does not matter */
		token = cox_str_trim(cox_str_sub(c->authorization, bearer.n, c->authorization.n));
	if (token.n <= AUTHN_TOKEN_BYTES_MAX)
		t->token = cox_arena_str(&t->arena, token);
	else
		authn_refuse(t, "bearer token", "%zu bytes, more than %d", token.n, AUTHN_TOKEN_BYTES_MAX);
	if (c->peer && c->peer->is_tls) {
		t->is_tls = true;
		t->is_verified = c->peer->is_verified;
		t->cert_der = cox_arena_str(&t->arena, c->peer->cert_der);
		t->uris = copy_list(&t->arena, c->peer->uris, c->peer->uri_count);
		t->uri_n = c->peer->uri_count;
	}
	t->cluster_id = cox_arena_str(&t->arena, c->cluster_id);
	t->xfcc = copy_list(&t->arena, c->xfcc, c->xfcc_n);
	t->xfcc_n = c->xfcc_n;
	t->peer_address = cox_arena_str(&t->arena, cox_str_of(c->peer_address));
	t->is_loopback = c->peer_is_loopback;
}

void cox_authn_check(struct cox_authn *a, struct cox_loop *loop, const struct cox_credentials *c,
                     void (*done)(void *ctx, enum cox_rc rc, const struct cox_identity *who, const struct cox_err *err), void *ctx,
                     struct cox_authn_ticket **ticket)
{
	struct cox_authn_ticket *t = COX_NEW(struct cox_authn_ticket);
	cox_ref_get(&a->ref);
	t->a = a;
	t->done = done;
	t->ctx = ctx;
	t->slot = ticket;
	copy_credentials(t, c);
	cox_hop_init(&t->hop, loop, on_arrive);
	t->task.fn = on_config_loop;
	*ticket = t;
	cox_loop_post(a->spec.loop, &t->task);
}

typedef COX_VEC(struct cox_str) lines;
static void collect_xfcc(void *ctx, struct cox_str name, struct cox_str value)
{
	lines *l = ctx;
	if (cox_str_eq(name, COX_STR("x-forwarded-client-cert")))
		cox_vec_push(l, value);
}

void cox_authn_check_stream(struct cox_authn *a, struct cox_grpc_stream *s,
                            void (*done)(void *ctx, enum cox_rc rc, const struct cox_identity *who, const struct cox_err *err), void *ctx,
                            struct cox_authn_ticket **ticket)
{
	lines xfcc = { 0 };
	cox_grpc_stream_metadata_each(s, collect_xfcc, &xfcc);
	struct cox_credentials c = { .peer = cox_grpc_stream_peer(s),
		                     .authorization = cox_grpc_stream_metadata(s, "authorization"),
		                     .cluster_id = cox_grpc_stream_metadata(s, "clusterid"),
		                     .xfcc = xfcc.p,
		                     .xfcc_n = xfcc.n,
		                     .peer_address = cox_grpc_stream_peer_address(s),
		                     .peer_is_loopback = cox_grpc_stream_peer_is_loopback(s) };
	cox_authn_check(a, cox_grpc_stream_loop(s), &c, done, ctx, ticket);
	cox_vec_fini(&xfcc);
}

void cox_authn_cancel(struct cox_authn_ticket **ticket)
{
	struct cox_authn_ticket *t = *ticket;
	*ticket = NULL;
	if (t)
		cox_hop_cancel(&t->hop);
}
