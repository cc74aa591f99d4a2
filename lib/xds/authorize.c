#include "xds/authorize.h"

#include "base/log.h"
#include "ca/spiffe.h"
#include "xds/server_priv.h"

/* A peer that must wait may send what its window holds (64 KiB); some gRPC libraries open with more. */
enum { HELD_BYTES_MAX = 1 << 20, HELD_MAX = 64 };

static const struct cox_xds_auth *auth_of(const struct ads_stream *a) { return &a->home->server->opts.auth; }

static bool is_asked_for(const struct ads_stream *a)
{
	const struct cox_xds_auth *o = auth_of(a);
	return o->authn && (cox_grpc_stream_tag(a->grpc) == COX_XDS_TLS ? o->on_tls : o->on_plaintext);
}

static enum cox_rc check_revoked(const struct ads_stream *a, struct cox_err *err)
{
	struct cox_ledger *l = auth_of(a)->ledger;
	for (size_t i = 0; l && a->auth.who && i < a->auth.who->uri_n; i++)
		COX_TRY(cox_ledger_check(l, a->auth.who->uris[i], a->auth.who->cert_serial, err));
	return COX_OK;
}

static void release_held(struct ads_stream *a)
{
	for (size_t i = 0; i < a->auth.held.n; i++)
		cox_buf_fini(&a->auth.held.p[i]);
	cox_vec_fini(&a->auth.held);
	a->auth.held_bytes = 0;
}

/* One of them may make the stream wait again: then the others do, in a list of their own. */
void authorize_replay(struct ads_stream *a)
{
	__typeof__(a->auth.held) held = a->auth.held;
	memset(&a->auth.held, 0, sizeof(a->auth.held));
	a->auth.held_bytes = 0;
	cox_grpc_stream_pause(a->grpc, false);
	for (size_t i = 0; i < held.n; i++) {
		if (!a->is_closing)
			stream_on_message(a->home->server, a->grpc, cox_buf_str(&held.p[i]));
		cox_buf_fini(&held.p[i]);
	}
	cox_vec_fini(&held);
}

static void on_known(void *ctx, enum cox_rc rc, const struct cox_identity *who, const struct cox_err *err)
{
	struct ads_stream *a = ctx;
	struct cox_err why = { 0 };
	if (a->is_closing)
		return;
	if (rc != COX_OK) {
		stream_refuse(a, rc == COX_EAUTH ? COX_EAUTH : COX_EAGAIN,
		              rc == COX_EAUTH ? "authentication" : "authentication_unavailable", cox_str_of(err->text));
		return;
	}
	a->auth.who = cox_identity_ref(who);
	if (check_revoked(a, &why) != COX_OK) {
		stream_refuse(a, COX_EDENIED, "revoked", cox_str_of(why.text));
		return;
	}
	authorize_replay(a);
}

void authorize_begin(struct ads_stream *a)
{
	if (!is_asked_for(a))
		return;
	cox_grpc_stream_pause(a->grpc, true);
	cox_authn_check_stream(auth_of(a)->authn, a->grpc, on_known, a, &a->auth.ticket);
}

bool authorize_holds(struct ads_stream *a, struct cox_str message)
{
	if (!a->auth.ticket && !a->is_held)
		return false;
	if (a->auth.held.n >= HELD_MAX || a->auth.held_bytes + message.n > HELD_BYTES_MAX) {
		stream_refuse(a, COX_ELIMIT, "too_early", COX_STR("too many requests before the caller is known"));
		return true;
	}
	struct cox_buf *b = cox_vec_add(&a->auth.held);
	cox_buf_append_str(b, message);
	a->auth.held_bytes += message.n;
	return true;
}

/* The first identity of the caller that may be this proxy. */
static bool find_identity(const struct ads_stream *a, const struct cox_proxy *proxy, struct cox_spiffe_id *out)
{
	const struct cox_identity *who = a->auth.who;
	for (size_t i = 0; i < who->uri_n; i++)
		if (cox_spiffe_parse(who->uris[i], out, NULL) == COX_OK && cox_str_eq(out->ns, proxy->ns) &&
		    (!proxy->service_account.n || cox_str_eq(out->service_account, proxy->service_account)))
			return true;
	return false;
}

enum cox_rc authorize_node(const struct ads_stream *a, const struct cox_proxy *proxy, struct cox_push_identity *out, const char **reason,
                           struct cox_err *err)
{
	struct cox_spiffe_id id;
	if (!a->auth.who)
		return COX_OK;
	if (!find_identity(a, proxy, &id)) {
		if (auth_of(a)->skip_identity_check)
			return COX_OK;
		*reason = "identity";
		return cox_err_set(err, COX_EDENIED, NULL, "%.*s may not be proxy %.*s of namespace \"%.*s\"%s%.*s%s",
		                   COX_FMT(a->auth.who->uris[0]), COX_FMT(cox_str_sub(proxy->id, 0, 100)), COX_FMT(proxy->ns),
		                   proxy->service_account.n ? " with service account \"" : "", COX_FMT(proxy->service_account),
		                   proxy->service_account.n ? "\"" : "");
	}
	*out = (struct cox_push_identity){ .is_verified = true, .ns = id.ns, .service_account = id.service_account };
	return COX_OK;
}

void authorize_end(struct ads_stream *a)
{
	cox_authn_cancel(&a->auth.ticket);
	release_held(a);
	cox_identity_unref(a->auth.who);
	a->auth.who = NULL;
}

void authorize_recheck(struct stream_loop *l)
{
	struct cox_err err = { 0 };
	for (size_t i = 0; i < l->streams.n; i++) {
		struct ads_stream *a = l->streams.p[i];
		if (!a->is_closing && check_revoked(a, &err) != COX_OK)
			stream_refuse(a, COX_EDENIED, "revoked", cox_str_of(err.text));
	}
}

/* --- from the config loop ------------------------------------------------------------------------------------ */

struct recheck {
	struct cox_loop_task task;
	struct stream_loop *loop;
};
static void on_recheck(struct cox_loop_task *task)
{
	struct recheck *r = (struct recheck *)(void *)task;
	authorize_recheck(r->loop);
	cox_free(r);
}

void cox_xds_server_recheck(struct cox_xds_server *s)
{
	for (size_t i = 0; i < s->loop_count; i++) {
		struct recheck *r = COX_NEW(struct recheck);
		*r = (struct recheck){ .task = { .fn = on_recheck }, .loop = &s->loops[i] };
		cox_loop_post(s->loop_list[i], &r->task);
	}
}
