/* explain_near.c - a host that the proxy knows nothing of: what is near, and what hides it. */
#include "tool/explain_priv.h"

#include <stdlib.h>

enum { NEAR_MAX = 3, NAME_MAX_BYTES = 64 };

/* Edit distance, with a neighbours' swap as one step. */
static unsigned distance(struct cox_str a, struct cox_str b)
{
	unsigned rows[3][NAME_MAX_BYTES + 1];
	if (a.n > NAME_MAX_BYTES || b.n > NAME_MAX_BYTES)
		return 99;
	for (size_t k = 0; k <= b.n; k++)
		rows[0][k] = (unsigned)k;
	for (size_t i = 1; i <= a.n; i++) {
		unsigned *now = rows[i % 3], *up = rows[(i + 2) % 3], *two_up = rows[(i + 1) % 3];
		now[0] = (unsigned)i;
		for (size_t k = 1; k <= b.n; k++) {
			unsigned best = up[k - 1] + (a.p[i - 1] != b.p[k - 1]);
			best = up[k] + 1 < best ? up[k] + 1 : best;
			best = now[k - 1] + 1 < best ? now[k - 1] + 1 : best;
			if (i > 1 && k > 1 && a.p[i - 1] == b.p[k - 2] && a.p[i - 2] == b.p[k - 1] && two_up[k - 2] + 1 < best)
				best = two_up[k - 2] + 1;
			now[k] = best;
		}
	}
	return rows[a.n % 3][b.n];
}

static struct cox_str first_label(struct cox_str host)
{
	ptrdiff_t dot = cox_str_find(host, '.');
	return dot < 0 ? host : cox_str_sub(host, 0, (size_t)dot);
}

struct near {
	const struct cox_svc *svc;
	unsigned distance;
};

static int near_cmp(const void *a, const void *b)
{
	const struct near *x = a, *y = b;
	return x->distance != y->distance ? (x->distance < y->distance ? -1 : 1) : cox_str_cmp(x->svc->hostname, y->svc->hostname);
}

static void suggest(struct question *q)
{
	const struct cox_snapshot *s = q->e->world->snapshot;
	struct near *list = COX_ARENA_ARRAY(q->a, struct near, s->svcs.n + 1);
	struct cox_str want = first_label(q->host);
	struct cox_buf b = { 0 };
	size_t n = 0;
	for (size_t i = 0; i < s->svcs.n; i++) {
		const struct cox_svc *svc = s->svcs.p[i].svc;
		bool is_kube = svc->origin == COX_SVC_KUBE;
		/* Services by their short name; entries by the whole, for "www" says nothing. */
		unsigned d = is_kube ? distance(want, svc->name) : distance(q->host, svc->hostname);
		if (d <= (want.n < 5 ? 1U : 2U))
			list[n++] = (struct near){ svc, d };
	}
	qsort(list, n, sizeof(*list), near_cmp);
	for (size_t i = 0; i < n && i < NEAR_MAX; i++)
		cox_buf_printf(&b, "%s%.*s", i ? ", " : "", COX_FMT(list[i].svc->hostname));
	explain_note(q, "there is no service %.*s%s%.*s%s", COX_FMT(q->host), n ? "; did you mean " : "", COX_FMT(cox_buf_str(&b)),
	             n ? "?" : "");
	cox_buf_fini(&b);
}

static bool scope_has(const struct cox_scope *scope, const struct cox_snap_svc *svc)
{
	for (COX_EACH(struct cox_scope_svc, v, scope->svcs))
		if (v->snap == svc)
			return true;
	return false;
}

static void ports_note(struct question *q, uint16_t port)
{
	struct cox_buf b = { 0 };
	const struct cox_svc *svc = q->svc->svc;
	bool has = false;
	for (COX_EACH(struct cox_svc_port, p, svc->ports)) {
		has |= p->port == port;
		cox_buf_printf(&b, "%s%u", b.n ? ", " : "", p->port);
	}
	if (!has)
		explain_note(q, "%.*s has no port %u; it has %.*s", COX_FMT(explain_object_text(q->a, svc->object_id)), port,
		             COX_FMT(b.n ? cox_buf_str(&b) : COX_STR("none")));
	cox_buf_fini(&b);
}

void explain_near(struct question *q, struct explained *x)
{
	if (q->e->world == NULL || x->proxy == NULL || x->is_router)
		return;
	if (q->svc == NULL) {
		if (q->r.dst_ip.n == 0)
			suggest(q);
		return;
	}
	const struct cox_svc *svc = q->svc->svc;
	struct cox_str object = explain_object_text(q->a, svc->object_id);
	if (!cox_export_is_visible(&svc->export_to, x->ns)) {
		explain_note(q, "%.*s is hidden from namespace %.*s by its exportTo", COX_FMT(object), COX_FMT(x->ns));
		return;
	}
	const struct cox_scope *scope = cox_scope_build(q->e->world->snapshot, x->ns, x->labels.p, x->labels.n, q->a);
	if (scope->sidecar && !scope_has(scope, q->svc)) {
		explain_note(q, "%.*s does not import %.*s (spec.egress[].hosts)", COX_FMT(explain_object_text(q->a, scope->sidecar->id)),
		             COX_FMT(object));
		return;
	}
	ports_note(q, q->port_asked);
}
