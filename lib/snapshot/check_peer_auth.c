/* What is odd about PeerAuthentications: those that never count, and ports on which nobody listens. */
#include "snapshot/check_priv.h"

static bool same_selector(const struct cox_peer_authentication *a, const struct cox_peer_authentication *b)
{
	const struct cox_match_labels *x = a ? a->selector : NULL, *y = b ? b->selector : NULL;
	size_t xn = x ? x->match_labels.n : 0, yn = y ? y->match_labels.n : 0;
	return xn == yn && (xn == 0 || cox_kv_is_subset(x->match_labels.p, xn, y->match_labels.p, yn));
}

/* An older policy for the same workloads wins; they are not merged. */
static void check_older(struct snap_checking *c, size_t at)
{
	const struct cox_object *o = c->s->peer_authentications.p[at];
	const struct cox_peer_authentication *spec = COX_SPEC(cox_peer_authentication_object, o)->spec;
	for (size_t i = at; i-- > 0;) {
		const struct cox_object *older = c->s->peer_authentications.p[i];
		if (!cox_str_eq(older->meta.ns, o->meta.ns))
			return;
		if (!same_selector(COX_SPEC(cox_peer_authentication_object, older)->spec, spec))
			continue;
		snap_finding_add(c, COX_FINDING_POLICY_IGNORED, COX_SEV_WARNING, o->id, COX_STR("spec.selector"),
		                 "has no effect: the older %.*s is for the same workloads", COX_FMT(older->id));
		return;
	}
}

struct listeners {
	size_t workloads;
	bool has_port, is_service_port; /* of a service in front of the workloads, under another number */
};

static struct listeners find_listeners(const struct cox_snapshot *s, const struct cox_object *o, const struct cox_match_labels *sel,
                                       uint16_t port)
{
	struct listeners l = { 0 };
	for (COX_EACH(struct cox_snap_svc, svc, s->svcs)) {
		if (!cox_str_eq(svc->svc->ns, o->meta.ns))
			continue;
		for (COX_EACH(struct cox_endpoint, e, svc->endpoints->items)) {
			if (!cox_str_eq(e->ns, o->meta.ns) ||
			    !cox_kv_is_subset(sel->match_labels.p, sel->match_labels.n, e->labels.p, e->labels.n))
				continue;
			l.workloads++;
			l.has_port |= e->port == port;
			l.is_service_port |= e->svc_port == port;
		}
	}
	return l;
}

static void check_ports(struct snap_checking *c, const struct cox_object *o, const struct cox_peer_authentication *spec)
{
	for (COX_EACH(struct cox_port_mtls, p, spec->port_level_mtls)) {
		uint16_t port = cox_port_mtls_port(p);
		struct listeners l = find_listeners(c->s, o, spec->selector, port);
		if (l.workloads == 0 || l.has_port)
			continue;
		snap_finding_add(
		    c, COX_FINDING_NO_PORT, COX_SEV_WARNING, o->id, cox_arena_printf(c->arena, "spec.portLevelMtls[%.*s]", COX_FMT(p->key)),
		    l.is_service_port ? "%u is a port of a service; the policy is for the port on which the workload itself listens"
		                      : "no service leads to port %u of the selected workloads",
		    (unsigned)port);
	}
}

void snap_check_peer_auths(struct snap_checking *c)
{
	for (size_t i = 0; i < c->s->peer_authentications.n; i++) {
		const struct cox_object *o = c->s->peer_authentications.p[i];
		const struct cox_peer_authentication *spec = COX_SPEC(cox_peer_authentication_object, o)->spec;
		bool has_selector = spec && spec->selector && spec->selector->match_labels.n > 0;
		if (has_selector && cox_str_eq(o->meta.ns, c->s->root_ns)) {
			snap_finding_add(c, COX_FINDING_POLICY_IGNORED, COX_SEV_WARNING, o->id, COX_STR("spec.selector"),
			                 "has no effect: in the root namespace %.*s a policy is for the whole mesh and takes no selector",
			                 COX_FMT(c->s->root_ns));
			continue;
		}
		check_older(c, i);
		if (has_selector)
			check_ports(c, o, spec);
	}
}
