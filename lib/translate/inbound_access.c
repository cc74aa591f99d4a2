/* inbound_access.c - what protects a workload (snapshot/access.h), as rules for one of its filter chains. */
#include "translate/inbound_priv.h"

#include "snapshot/access.h"
#include "translate/rbac.h"

struct making {
	const struct cox_tr *t;
	const struct cox_inbound_port *port; /* NULL: whatever no port of a service takes */
	bool is_http;
};

static struct cox_string_match exact(struct cox_str s) { return (struct cox_string_match){ .exact = { s, true } }; }
static struct cox_string_match regex(struct cox_str s) { return (struct cox_string_match){ .regex = { s, true } }; }

/* A rule names a port as the workload has it, or as its service does. */
static bool is_port(const struct making *m, uint16_t port) { return m->port && (m->port->target == port || m->port->svc_port == port); }

static struct cox_rbac_term term_of(const struct making *m, enum cox_rbac_field field, const struct cox_str *values, size_t n,
                                    bool is_regex)
{
	struct cox_string_match *list = COX_ARENA_ARRAY(m->t->arena, struct cox_string_match, n);
	struct cox_rbac_term term = { .field = field };
	for (size_t i = 0; i < n; i++)
		list[i] = is_regex ? regex(values[i]) : exact(values[i]);
	term.values.p = list;
	term.values.n = n;
	return term;
}

/* The accounts under the mesh's trust domain and its aliases. */
static struct cox_rbac_term peers_of(const struct making *m, const struct cox_access_rule *r)
{
	const struct cox_mesh_config *mesh = m->t->s->mesh;
	struct cox_arena *a = m->t->arena;
	size_t n = 0;
	struct cox_str *ids = COX_ARENA_ARRAY(a, struct cox_str, r->sources.n * (1 + mesh->trust_domain_aliases.n));
	for (COX_EACH(struct cox_access_account, s, r->sources))
		for (size_t i = 0; i <= mesh->trust_domain_aliases.n; i++) {
			struct cox_str domain = i ? mesh->trust_domain_aliases.p[i - 1] : mesh->trust_domain;
			ids[n++] = cox_arena_printf(a, "spiffe://%.*s/ns/%.*s/sa/%.*s", COX_FMT(domain), COX_FMT(s->ns), COX_FMT(s->name));
		}
	return term_of(m, COX_RBAC_PEER, ids, n, false);
}

static struct cox_rbac_term port_term(const struct making *m, const uint16_t *ports, size_t n)
{
	(void)m;
	struct cox_rbac_term term = { .field = COX_RBAC_PORT };
	term.ports.p = ports;
	term.ports.n = n;
	return term;
}

/* Where the chain is for one port, what a rule says of ports is decided here; else Envoy looks at the connection's. False: never. */
static bool ports_write(const struct making *m, const uint16_t *ports, size_t n, struct cox_rbac_term *terms, size_t *term_n)
{
	if (!m->port) {
		terms[(*term_n)++] = port_term(m, ports, n);
		return true;
	}
	for (size_t i = 0; i < n; i++)
		if (is_port(m, ports[i]))
			return true;
	return false;
}

enum { TERMS_EXTRA = 4 }; /* ports twice, path, methods */

static bool connection_write(const struct making *m, const struct cox_access_rule *r, struct cox_rbac_all *out)
{
	struct cox_rbac_term *terms = COX_ARENA_ARRAY(m->t->arena, struct cox_rbac_term, TERMS_EXTRA);
	size_t n = 0;
	if (r->port && !ports_write(m, &r->port, 1, terms, &n))
		return false;
	if (!r->is_any_tcp && !ports_write(m, r->tcp_ports.p, r->tcp_ports.n, terms, &n))
		return false;
	out->terms.p = terms;
	out->terms.n = n;
	return true;
}

static bool request_write(const struct making *m, const struct cox_access_rule *r, const struct cox_access_http *h,
                          struct cox_rbac_all *out)
{
	struct cox_rbac_term *terms = COX_ARENA_ARRAY(m->t->arena, struct cox_rbac_term, TERMS_EXTRA + h->headers.n);
	size_t n = 0;
	if (r->port && !ports_write(m, &r->port, 1, terms, &n))
		return false;
	if (h->methods.n)
		terms[n++] = term_of(m, COX_RBAC_METHOD, h->methods.p, h->methods.n, false);
	if (h->path_regex.n)
		terms[n++] = term_of(m, COX_RBAC_PATH, &h->path_regex, 1, true);
	for (COX_EACH(struct cox_kv, kv, h->headers)) {
		terms[n] = term_of(m, COX_RBAC_HEADER, &kv->value, 1, true);
		terms[n++].header = kv->key;
	}
	out->terms.p = terms;
	out->terms.n = n;
	return true;
}

static void policy_write(const struct making *m, const struct cox_access_rule *r, struct cox_rbac_policy *out)
{
	struct cox_arena *a = m->t->arena;
	struct cox_rbac_term *peers = COX_ARENA_NEW(a, struct cox_rbac_term);
	struct cox_rbac_all *who = COX_ARENA_NEW(a, struct cox_rbac_all);
	struct cox_rbac_all *what = COX_ARENA_ARRAY(a, struct cox_rbac_all, r->http.n + 1);
	*peers = peers_of(m, r);
	who->terms.p = peers;
	who->terms.n = 1;
	if (r->is_any_tcp || r->tcp_ports.n)
		out->what.n += connection_write(m, r, &what[out->what.n]);
	for (size_t i = 0; m->is_http && i < r->http.n; i++)
		out->what.n += request_write(m, r, &r->http.p[i], &what[out->what.n]);
	out->name = cox_arena_printf(a, "smi[%.*s]-target[%.*s]", COX_FMT(r->object->meta.ns), COX_FMT(r->object->meta.name));
	out->who.p = who;
	out->who.n = 1;
	out->what.p = what;
}

bool cox_inbound_access(const struct cox_inbound *in, const struct cox_inbound_port *port, bool is_http, struct cox_rbac *out)
{
	const struct cox_access_set *access = cox_snapshot_access_find(in->t->s, in->w->view.ns, in->w->service_account);
	if (!access)
		return false;
	struct making m = { in->t, port, is_http };
	struct cox_rbac_policy *policies = COX_ARENA_ARRAY(in->t->arena, struct cox_rbac_policy, access->rules.n + 1);
	for (size_t i = 0; i < access->rules.n; i++)
		policy_write(&m, &access->rules.p[i], &policies[i]);
	*out = (struct cox_rbac){ .stat_prefix = COX_STR("tcp.") };
	out->policies.p = policies;
	out->policies.n = access->rules.n;
	return true;
}
