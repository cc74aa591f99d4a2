#include "tool/cert.h"

#include "ca/spiffe.h"

#include <stdio.h>
#include <stdlib.h>

struct run {
	const struct cox_cert_options *o;
	struct cox_loop *loop; /* the cluster's, or one of our own */
	struct cox_cluster *cluster;
	struct cox_ledger *ledger;
	struct cox_err *err;
	enum cox_rc rc;
	size_t n;
	bool is_ready, is_done, is_closed;
};

static void on_ready(void *ctx, enum cox_rc rc)
{
	struct run *r = ctx;
	r->is_ready = true;
	r->rc = rc;
}

static void on_done(void *ctx, enum cox_rc rc, size_t n, const struct cox_err *err)
{
	struct run *r = ctx;
	r->is_done = true;
	r->rc = rc;
	r->n = n;
	if (rc != COX_OK && r->err && err)
		*r->err = *err;
}

static void on_asked(void *ctx, enum cox_rc rc, const struct cox_err *err) { on_done(ctx, rc, 0, err); }

static void on_closed(void *ctx) { ((struct run *)ctx)->is_closed = true; }
static bool is_set(void *flag) { return *(bool *)flag; }

/* --- the list -------------------------------------------------------------------------------------- */

static bool is_wanted(const struct cox_cert_options *o, struct cox_str uri)
{
	struct cox_spiffe_id id;
	if (o->identity.n && !cox_str_eq(uri, o->identity))
		return false;
	return !o->only_ns.n || (cox_spiffe_parse(uri, &id, NULL) == COX_OK && cox_str_eq(id.ns, o->only_ns));
}

static struct cox_str text_of(const struct cox_json *v, const char *key) { return cox_json_str_at(v, key); }

static int cmp_cert(const void *a, const void *b)
{
	int by_id = cox_str_cmp(text_of(a, "identity"), text_of(b, "identity"));
	return by_id ? by_id : cox_str_cmp(text_of(a, "notAfter"), text_of(b, "notAfter"));
}

static void write_table(const struct cox_json *list, struct cox_buf *out)
{
	size_t width = sizeof("IDENTITY") - 1;
	for (size_t i = 0; i < list->n; i++)
		width = cox_max_size(width, text_of(&list->items[i], "identity").n);
	cox_buf_printf(out, "%-40s  %-*s  %-24s  %s\n", "SERIAL", (int)width, "IDENTITY", "NOT AFTER", "STATE");
	for (size_t i = 0; i < list->n; i++) {
		const struct cox_json *v = &list->items[i];
		cox_buf_printf(out, "%-40.*s  %-*.*s  %-24.*s  %s\n", COX_FMT(text_of(v, "serial")), (int)width,
		               COX_FMT(text_of(v, "identity")), COX_FMT(text_of(v, "notAfter")),
		               cox_json_get(v, COX_STR("revoked"))->boolean ? "revoked" : "valid");
	}
}

static void list(struct run *r, struct cox_buf *out)
{
	struct cox_arena arena = { 0 };
	struct cox_json *all = cox_ledger_dump(r->ledger, &arena), *some = cox_json_new_array(&arena);
	for (size_t i = 0; i < all->n; i++)
		if (is_wanted(r->o, text_of(&all->items[i], "identity")))
			cox_json_push(&arena, some, &all->items[i]);
	if (some->n)
		qsort(some->items, some->n, sizeof(*some->items), cmp_cert);
	if (r->o->as_json) {
		cox_json_write(out, some, 2, false);
		cox_buf_append_char(out, '\n');
	} else {
		write_table(some, out);
	}
	cox_arena_fini(&arena);
}

/* --- the store --------------------------------------------------------------------------------------- */

static enum cox_rc run(struct run *r, struct cox_buf *out, struct cox_err *err)
{
	int64_t timeout = r->o->timeout_ms ? r->o->timeout_ms : 30000;
	char dir[4096];
	if (r->o->state_dir && (size_t)snprintf(dir, sizeof(dir), "%s/" COX_LEDGER_DIR, r->o->state_dir) >= sizeof(dir))
		return cox_err_set(err, COX_EINVAL, NULL, "the name of the state directory is too long");
	COX_TRY(cox_ledger_open(&(struct cox_ledger_spec){ .loop = r->loop,
	                                                   .kube = r->cluster ? cox_cluster_client(r->cluster) : NULL,
	                                                   .ns = r->o->ns,
	                                                   .replica = COX_STR("coxctl"),
	                                                   .state_dir = r->o->state_dir ? dir : NULL,
	                                                   .on_ready = on_ready,
	                                                   .ctx = r },
	                        &r->ledger, err));
	if (!cox_loop_run_until(r->loop, is_set, &r->is_ready, timeout))
		return cox_err_set(err, COX_ETIMEOUT, NULL, "the list of certificates could not be read in time");
	if (r->rc != COX_OK)
		return cox_err_set(err, r->rc, NULL,
		                   "the list of certificates may not be read (ConfigMaps of the control plane's namespace)");
	if (r->o->is_list) {
		list(r, out);
		return COX_OK;
	}
	if (r->o->is_rotate)
		cox_ledger_rotate_ask(r->ledger, on_asked, r);
	else
		cox_ledger_revoke(r->ledger, &r->o->revoke, on_done, r);
	if (!cox_loop_run_until(r->loop, is_set, &r->is_done, timeout))
		return cox_err_set(err, COX_ETIMEOUT, NULL, "it could not be stored in time");
	if (r->rc == COX_OK && r->o->is_rotate)
		cox_buf_append_cstr(out, "asked for; /debug/certz and `coxctl cert list` show how far it is\n");
	else if (r->rc == COX_OK && r->o->revoke.is_undone)
		cox_buf_append_cstr(out, r->n ? "taken back\n" : "there was nothing to take back\n");
	else if (r->rc == COX_OK)
		cox_buf_printf(out, "%zu certificate%s revoked%s\n", r->n, r->n == 1 ? "" : "s",
		               r->o->revoke.serial.n ? "" : ", and no new ones will be issued");
	return r->rc;
}

enum cox_rc cox_tool_cert(const struct cox_cert_options *o, struct cox_buf *out, struct cox_err *err)
{
	struct run r = { .o = o, .err = err };
	if (!o->state_dir)
		COX_TRY(cox_cluster_open(&o->cluster, &r.cluster, err));
	struct cox_loop *own = r.cluster ? NULL : cox_loop_new("cert");
	r.loop = r.cluster ? cox_cluster_loop(r.cluster) : own;
	enum cox_rc rc = run(&r, out, err);
	if (r.ledger) {
		cox_ledger_close(&r.ledger, on_closed, &r);
		cox_loop_run_until(r.loop, is_set, &r.is_closed, 5000);
	}
	cox_cluster_close(&r.cluster);
	if (own)
		cox_loop_free(&own);
	return rc;
}
