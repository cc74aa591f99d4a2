/* What services take from each other, and services that nobody can reach. */
#include "snapshot/check_priv.h"

#include <stdlib.h>

/* One thing that only one service can have. Sorted, so that rivals stand beside each other, the older first. */
struct claim {
	struct cox_str ns, what; /* ns: empty for addresses, which all namespaces share */
	uint16_t port;
	enum cox_protocol protocol;
	const struct cox_svc *svc;
	size_t at;    /* which address, which port */
	size_t index; /* of the service: creation order */
};
typedef COX_VEC(struct claim) claims;

static int claim_cmp(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;
	int c = cox_str_cmp(x->ns, y->ns);
	c = c != 0 ? c : cox_str_cmp(x->what, y->what);
	c = c != 0 ? c : (x->port > y->port) - (x->port < y->port);
	c = c != 0 ? c : (x->index > y->index) - (x->index < y->index);
	return c != 0 ? c : (x->at > y->at) - (x->at < y->at);
}

static bool are_rivals(const struct claim *a, const struct claim *b)
{
	return a->port == b->port && cox_str_eq(a->ns, b->ns) && cox_str_eq(a->what, b->what);
}

static bool is_kube(const struct cox_svc *s) { return s->origin == COX_SVC_KUBE; }

/* --- addresses --------------------------------------------------------------------------------------------- */

static void add_addresses(claims *out, const struct cox_svc *s, size_t index)
{
	for (size_t i = 0; !s->addresses_are_auto && i < s->addresses.n; i++)
		for (COX_EACH(struct cox_svc_port, p, s->ports))
			if (p->protocol != COX_PROTO_UDP)
				cox_vec_push(out, ((struct claim){ COX_STR(""), s->addresses.p[i], p->port, p->protocol, s, i, index }));
}

static struct cox_str address_path(struct snap_checking *c, const struct claim *x)
{
	if (!is_kube(x->svc))
		return cox_arena_printf(c->arena, "spec.addresses[%zu]", x->at);
	return x->at == 0 ? COX_STR("spec.clusterIP") : cox_arena_printf(c->arena, "spec.clusterIPs[%zu]", x->at);
}

/* Several hosts of one ServiceEntry share its addresses by intent. */
static void check_addresses(struct snap_checking *c, const claims *all)
{
	for (size_t i = 1, first = 0; i < all->n; i++) {
		const struct claim *x = &all->p[i];
		if (!are_rivals(x, &all->p[first])) {
			first = i;
			continue;
		}
		for (size_t k = first; k < i; k++) {
			const struct cox_svc *older = all->p[k].svc;
			if (cox_str_eq(older->object_id, x->svc->object_id) || !snap_share_viewers(&older->export_to, &x->svc->export_to))
				continue;
			snap_finding_add(c, COX_FINDING_ADDRESS_CONFLICT, COX_SEV_WARNING, x->svc->object_id, address_path(c, x),
			                 "address %.*s with port %u belongs to the older %.*s, which gets what is sent there",
			                 COX_FMT(x->what), x->port, COX_FMT(older->object_id));
			break;
		}
	}
}

/* --- ports of the pods -------------------------------------------------------------------------------------- */

/* Selectors that are equal word by word: what overlaps otherwise is rare, and pods would have to be asked. */
static struct cox_str selector_text(struct snap_checking *c, const struct cox_svc *s)
{
	struct cox_buf text = { 0 };
	for (COX_EACH(struct cox_kv, kv, s->selector))
		cox_buf_printf(&text, "%.*s=%.*s\n", COX_FMT(kv->key), COX_FMT(kv->value));
	struct cox_str out = cox_arena_str(c->arena, cox_buf_str(&text));
	cox_buf_fini(&text);
	return out;
}

static void add_target_ports(struct snap_checking *c, claims *out, const struct cox_svc *s, size_t index)
{
	if (!is_kube(s) || s->selector.n == 0)
		return;
	struct cox_str selector = selector_text(c, s);
	for (size_t i = 0; i < s->ports.n; i++) {
		const struct cox_svc_port *p = &s->ports.p[i];
		if (p->protocol != COX_PROTO_UDP && p->target_port)
			cox_vec_push(out, ((struct claim){ s->ns, selector, p->target_port, p->protocol, s, i, index }));
	}
}

static void check_target_ports(struct snap_checking *c, const claims *all)
{
	for (size_t i = 1, first = 0; i < all->n; i++) {
		const struct claim *x = &all->p[i], *older = &all->p[first];
		if (!are_rivals(x, older)) {
			first = i;
			continue;
		}
		if (x->protocol != older->protocol)
			snap_finding_add(c, COX_FINDING_TARGET_PORT_CONFLICT, COX_SEV_WARNING, x->svc->object_id,
			                 cox_arena_printf(c->arena, "spec.ports[%zu]", x->at),
			                 "target port %u is taken as %.*s, as %s%.*s has it, not as %.*s", x->port,
			                 COX_FMT(cox_protocol_name(older->protocol)),
			                 older->svc == x->svc ? "another port of " : "the older ", COX_FMT(older->svc->object_id),
			                 COX_FMT(cox_protocol_name(x->protocol)));
	}
}

void snap_check_services(struct snap_checking *c)
{
	claims addresses = { 0 }, ports = { 0 };
	for (size_t i = 0; i < c->s->svcs.n; i++) {
		const struct cox_svc *s = c->s->svcs.p[i].svc;
		add_addresses(&addresses, s, i);
		add_target_ports(c, &ports, s, i);
		/* A headless service may be there for its names alone. */
		if (is_kube(s) && s->ports.n == 0 && !s->is_headless && !s->external_name.n)
			snap_finding_add(c, COX_FINDING_NO_PORTS, COX_SEV_WARNING, s->object_id, COX_STR("spec.ports"),
			                 "is empty: no listener, route or cluster is made for this service");
	}
	if (addresses.n)
		qsort(addresses.p, addresses.n, sizeof(struct claim), claim_cmp);
	if (ports.n)
		qsort(ports.p, ports.n, sizeof(struct claim), claim_cmp);
	check_addresses(c, &addresses);
	check_target_ports(c, &ports);
	cox_vec_fini(&addresses);
	cox_vec_fini(&ports);
}
