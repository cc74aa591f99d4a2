/* envoy - an ADS client, delta or state-of-the-world, that behaves as Envoy 1.40 was measured to (protocol facts, section 20). */
#include "sim.h"

#include "codec/pb_read.h"

#include <stdio.h>

/* --- tables --------------------------------------------------------------------------------------- */

struct held *table_find(const struct table *t, struct cox_str name)
{
	for (size_t i = 0; i < t->items.n; i++)
		if (cox_str_eq_cstr(name, t->items.p[i]->name))
			return t->items.p[i];
	return NULL;
}

static struct held *table_get(struct table *t, struct cox_str name)
{
	struct held *h = table_find(t, name);
	if (!h) {
		h = COX_NEW(struct held);
		h->name = cox_str_dup_cstr(name);
		cox_vec_push(&t->items, h);
	}
	return h;
}

static void held_free(struct held *h)
{
	cox_resource_unref(h->active);
	cox_resource_unref(h->warming);
	cox_free(h->name);
	cox_free(h);
}

static void table_drop(struct table *t, struct cox_str name)
{
	for (size_t i = 0; i < t->items.n; i++)
		if (cox_str_eq_cstr(name, t->items.p[i]->name)) {
			held_free(t->items.p[i]);
			cox_vec_remove(&t->items, i);
			return;
		}
}

static void table_fini(struct table *t)
{
	for (size_t i = 0; i < t->items.n; i++)
		held_free(t->items.p[i]);
	cox_vec_fini(&t->items);
}

static void hold(const struct cox_resource **at, const struct cox_resource *r)
{
	if (r)
		cox_resource_ref(r);
	cox_resource_unref(*at);
	*at = r;
}

static bool same(const struct cox_resource *a, const struct cox_resource *b) { return a && b && cox_hash_eq(a->hash, b->hash); }

bool is_eds_cluster(const struct cox_resource *r)
{
	enum { TYPE = 2, EDS = 3 }; /* envoy.config.cluster.v3.Cluster.type */
	struct cox_buf b = { 0 };
	struct cox_pb_field f;
	bool is_eds = false;
	cox_resource_flatten(r, &b);
	struct cox_pb_reader reader = cox_pb_reader(cox_buf_str(&b));
	while (cox_pb_next(&reader, &f))
		is_eds |= f.number == TYPE && f.u == EDS;
	cox_buf_fini(&b);
	return is_eds;
}

/* --- messages --------------------------------------------------------------------------------------- */

#define FREE_TEXTS(v)                                  \
	do {                                           \
		for (size_t i_ = 0; i_ < (v)->n; i_++) \
			cox_free((v)->p[i_]);          \
		cox_vec_fini(v);                       \
	} while (0)

static void message_fini(struct message *m)
{
	for (size_t i = 0; i < m->resources.n; i++)
		cox_resource_unref(m->resources.p[i]);
	cox_vec_fini(&m->resources);
	FREE_TEXTS(&m->removed);
	FREE_TEXTS(&m->missing);
}

static void request_fini(struct request *r)
{
	FREE_TEXTS(&r->add);
	FREE_TEXTS(&r->del);
	FREE_TEXTS(&r->names);
	FREE_TEXTS(&r->versions);
	cox_free(r->error);
}

static char *bad_key(const struct cox_resource *r)
{
	char hex[33], key[64];
	cox_hash_to_hex(r->hash, hex);
	(void)snprintf(key, sizeof(key), "%d/%s", (int)r->type, hex);
	return cox_str_dup_cstr(cox_str_of(key));
}

bool envoy_rejects(const struct envoy *e, const struct cox_resource *r)
{
	char *key = bad_key(r);
	bool found = false;
	for (size_t i = 0; i < e->bad.n && !found; i++)
		found = strcmp(e->bad.p[i], key) == 0;
	cox_free(key);
	return found;
}

/* --- life ------------------------------------------------------------------------------------------- */

static const char *const nodes[PROXIES] = {
	"{\"id\":\"sidecar~10.1.0.10~p0.default~default.svc.cluster.local\",\"extensions\":[{\"name\":\"envoy.x\"}],\"metadata\":{\"NAMESPACE\":\"default\","
	"\"COXSWAIN_SDS\":\"none\",\"LABELS\":{\"app\":\"s0\",\"version\":\"v1\"}}}",
	"{\"id\":\"sidecar~10.1.0.11~p1.default~default.svc.cluster.local\",\"metadata\":{\"NAMESPACE\":\"default\",\"LABELS\":{\"app\":\"s1\",\"version\":\"v2\"}}}",
	"{\"id\":\"sidecar~10.1.0.14~p4.other~other.svc.cluster.local\",\"extensions\":[{\"name\":\"envoy.x\"}],\"metadata\":{\"NAMESPACE\":\"other\","
	"\"LABELS\":{\"app\":\"s4\",\"version\":\"v1\"}}}",
	"{\"id\":\"sidecar~10.1.0.17~p7.default~default.svc.cluster.local\",\"extensions\":[{\"name\":\"istio.stats\"}],\"metadata\":{\"NAMESPACE\":\"default\","
	"\"LABELS\":{\"app\":\"s2\",\"version\":\"v2\"}}}",
	"{\"id\":\"router~10.1.0.90~gw-0.default~default.svc.cluster.local\",\"extensions\":[{\"name\":\"envoy.x\"}],\"metadata\":{\"NAMESPACE\":\"default\","
	"\"LABELS\":{\"istio\":\"ingress\"}}}",
	"{\"id\":\"sidecar~10.1.0.12~p2.default~default.svc.cluster.local\",\"extensions\":[{\"name\":\"envoy.x\"}],\"metadata\":{\"NAMESPACE\":\"default\","
	"\"COXSWAIN_SDS\":\"none\",\"LABELS\":{\"app\":\"s2\",\"version\":\"v1\"}}}",
};

static void on_core_rejected(void *arg, const struct cox_xds_rejection *r)
{
	struct envoy *e = arg;
	if (!envoy_rejects(e, r->resource))
		sim_fail(e->sim, "proxy %u: valid %s %.*s was taken for the rejected one", e->index, cox_type_metric(r->type),
		         COX_FMT(r->resource->name));
	cox_push_reject(e->sim->world.push, e->client, r->resource, r->message);
}

static void on_gate_expired(void *arg, enum cox_type type)
{
	struct envoy *e = arg;
	e->gate_expired = true;
	if (e->sim->verbose)
		printf("      proxy %u: gate of %s expired\n", e->index, cox_type_metric(type));
}

static void on_deliver(void *arg, const struct cox_wanted *const parts[COX_PUSH_PARTS])
{
	struct envoy *e = arg;
	for (unsigned p = 0; p < COX_PUSH_PARTS; p++) {
		if (e->wanted[p] == parts[p])
			continue;
		cox_wanted_unref(e->wanted[p]);
		e->wanted[p] = cox_wanted_ref(parts[p]);
		cox_xds_core_want(e->core, p, parts[p]->sets, e->sim->now_ms);
	}
	excuse_dangling(e->sim, e);
}

static struct request *new_request(struct envoy *e, enum cox_type type)
{
	struct request *r = cox_vec_add(&e->outbox);
	r->type = type;
	return r;
}

static bool is_named(enum cox_type t) { return t == COX_TYPE_EDS || t == COX_TYPE_RDS; }

static void name_all(struct envoy *e, struct request *r)
{
	for (size_t i = 0; i < e->have[r->type].items.n && is_named(r->type); i++)
		cox_vec_push(&r->add, cox_str_dup_cstr(cox_str_of(e->have[r->type].items.p[i]->name)));
}

/* What it holds is not always what it lists: of a rejected response it took the good ones and recorded no version, and did the removals
 * but goes on listing them. */
static void note_unlisted(struct held *h)
{
	const struct cox_resource *has = h->warming ? h->warming : h->active;
	char hex[33] = "";
	if (has)
		cox_hash_to_hex(has->hash, hex);
	h->is_unlisted = strcmp(h->version, hex) != 0;
}

/* The first request of a type on a stream names all that is held. */
static void ask_first(struct envoy *e, enum cox_type type)
{
	struct request *r = new_request(e, type);
	e->is_asked[type] = true;
	name_all(e, r);
	for (size_t i = 0; i < e->have[type].items.n && e->is_delta; i++) {
		struct held *h = e->have[type].items.p[i];
		note_unlisted(h);
		if (h->version[0]) {
			cox_vec_push(&r->names, cox_str_dup_cstr(cox_str_of(h->name)));
			cox_vec_push(&r->versions, cox_str_dup_cstr(cox_str_of(h->version)));
		}
	}
}

/* Names changed: delta says which, state-of-the-world names all again, with the nonce of the last response. Takes. */
static void ask_changed(struct envoy *e, struct request *change)
{
	if (!change->add.n && !change->del.n)
		return;
	if (e->is_asked[change->type] && e->is_delta) {
		cox_vec_push(&e->outbox, *change);
		return;
	}
	enum cox_type type = change->type;
	request_fini(change);
	if (!e->is_asked[type]) {
		ask_first(e, type);
		return;
	}
	struct request *r = new_request(e, type);
	name_all(e, r);
	r->nonce = e->last_nonce[type];
	r->has_nonce = r->nonce != 0;
}

static bool is_warming(const struct envoy *e)
{
	for (size_t i = 0; i < e->have[COX_TYPE_CDS].items.n; i++)
		if (e->have[COX_TYPE_CDS].items.p[i]->warming)
			return true;
	return false;
}

/* What follows from clusters being warm: acknowledgements held back, CDS of a stream that came back, LDS at start. */
static void on_warm(struct envoy *e)
{
	if (is_warming(e))
		return;
	if (!e->is_asked[COX_TYPE_CDS])
		ask_first(e, COX_TYPE_CDS);
	for (size_t i = 0; i < e->held_acks.n; i++) {
		if (e->is_delta || i + 1 == e->held_acks.n)
			cox_vec_push(&e->outbox, e->held_acks.p[i]);
		else
			request_fini(&e->held_acks.p[i]); /* state-of-the-world: one request says the latest */
	}
	e->was_started |= e->last_nonce[COX_TYPE_CDS] != 0;
	e->held_acks.n = 0;
	if (e->was_started && !e->is_asked[COX_TYPE_LDS])
		ask_first(e, COX_TYPE_LDS);
}

static void drop_stream(struct envoy *e)
{
	for (size_t i = 0; i < e->inbox.n; i++)
		message_fini(&e->inbox.p[i]);
	for (size_t i = 0; i < e->outbox.n; i++)
		request_fini(&e->outbox.p[i]);
	for (size_t i = 0; i < e->held_acks.n; i++)
		request_fini(&e->held_acks.p[i]);
	cox_vec_fini(&e->inbox);
	cox_vec_fini(&e->outbox);
	cox_vec_fini(&e->held_acks);
}

void envoy_detach(struct envoy *e)
{
	cox_push_detach(e->sim->world.push, &e->client);
	loop_settle(e->sim->world.loop);
	for (unsigned p = 0; p < COX_PUSH_PARTS; p++) {
		cox_wanted_unref(e->wanted[p]);
		e->wanted[p] = NULL;
	}
	cox_xds_core_free(e->core);
	cox_steps_free(e->steps);
	e->core = NULL;
	e->steps = NULL;
	drop_stream(e);
}

void envoy_attach(struct envoy *e)
{
	e->steps = cox_steps_new();
	e->core = cox_xds_core_new(&(struct cox_xds_core_options){ .is_delta = e->is_delta,
	                                                           .has_vhds = e->has_vhds,
	                                                           .klass = e->proxy->klass,
	                                                           .steps = e->steps,
	                                                           .rejected = on_core_rejected,
	                                                           .gate_expired = on_gate_expired,
	                                                           .arg = e });
	e->client =
	    cox_push_attach(e->sim->world.push,
	                    &(struct cox_push_client_spec){
	                        .loop = e->sim->world.loop, .proxy = e->proxy, .is_delta = e->is_delta, .deliver = on_deliver, .arg = e });
	loop_settle(e->sim->world.loop);
	bool had_vhds = e->is_asked[COX_TYPE_VHDS];
	e->is_rejoining = !e->is_delta && e->was_started;
	memset(e->is_asked, 0, sizeof(e->is_asked));
	memset(e->last_nonce, 0, sizeof(e->last_nonce));
	e->wake_ms = 0;
	on_warm(e); /* CDS is not asked while clusters warm */
	if (e->have[COX_TYPE_EDS].items.n)
		ask_first(e, COX_TYPE_EDS);
	if (e->was_started && !e->is_asked[COX_TYPE_LDS])
		ask_first(e, COX_TYPE_LDS);
	if (e->have[COX_TYPE_RDS].items.n)
		ask_first(e, COX_TYPE_RDS);
	if (had_vhds)
		ask_first(e, COX_TYPE_VHDS);
}

void envoy_init(struct envoy *e, struct sim *s, unsigned index)
{
	e->sim = s;
	e->index = index;
	struct cox_proxy *p = proxy_of(nodes[index]), *rendered = proxy_of(nodes[index]);
	e->proxy = p;
	e->is_delta = rng_below(&s->rng, 3);
	e->has_vhds = e->is_delta && p->has_vhds && p->type == COX_PROXY_SIDECAR;
	rendered->has_vhds &= e->is_delta;
	e->rendered_proxy = rendered;
	envoy_attach(e);
}

static void forget_all(struct envoy *e)
{
	for (unsigned t = 0; t < COX_TYPE_COUNT; t++)
		table_fini(&e->have[t]);
	memset(e->is_asked, 0, sizeof(e->is_asked));
	e->was_started = false;
}

void envoy_fini(struct envoy *e)
{
	envoy_detach(e);
	forget_all(e);
	FREE_TEXTS(&e->bad);
	cox_proxy_unref(e->proxy);
	cox_proxy_unref(e->rendered_proxy);
}

void envoy_reconnect(struct envoy *e, bool forgets)
{
	envoy_detach(e);
	if (forgets)
		forget_all(e);
	envoy_attach(e);
}

/* --- the wire ----------------------------------------------------------------------------------------- */

/* Envoy rejects a delta response that removes a name twice. */
static void check_removed(struct envoy *e, const struct message *m)
{
	for (size_t i = 0; i < m->removed.n; i++) {
		for (size_t k = 0; k < i; k++)
			if (strcmp(m->removed.p[i], m->removed.p[k]) == 0)
				sim_fail(e->sim, "proxy %u: %s removed twice in one response", e->index, m->removed.p[i]);
		for (size_t k = 0; k < m->resources.n; k++)
			if (cox_str_eq_cstr(m->resources.p[k]->name, m->removed.p[i]))
				sim_fail(e->sim, "proxy %u: %s added and removed in one response", e->index, m->removed.p[i]);
	}
}

bool envoy_send(struct envoy *e)
{
	struct cox_xds_response r;
	if (!cox_xds_core_next(e->core, e->sim->now_ms, &r, &e->wake_ms))
		return false;
	struct message *m = cox_vec_add(&e->inbox);
	m->type = r.type;
	m->nonce = r.nonce;
	e->responses++;
	for (unsigned p = 0; p < COX_XDS_PARTS; p++)
		for (size_t i = 0; r.steps[p] && i < r.steps[p]->changed_n; i++)
			cox_vec_push(&m->resources, cox_resource_ref(r.steps[p]->changed[i]));
	for (unsigned p = 0; p < COX_XDS_PARTS; p++)
		for (size_t i = 0; r.steps[p] && i < r.steps[p]->removed_n; i++)
			cox_vec_push(&m->removed, cox_str_dup_cstr(r.steps[p]->removed[i]));
	for (size_t i = 0; i < r.resource_n; i++)
		cox_vec_push(&m->resources, cox_resource_ref(r.resources[i]));
	for (size_t i = 0; i < r.removed_n; i++)
		cox_vec_push(&m->removed, cox_str_dup_cstr(r.removed[i]));
	for (size_t i = 0; i < r.missing_n; i++)
		cox_vec_push(&m->missing, cox_str_dup_cstr(r.missing[i]));
	e->sent_resources += m->resources.n;
	if (e->sim->verbose)
		printf("      -> proxy %u %s #%llu: %zu resources (%.*s ...), %zu removed, %zu missing\n", e->index,
		       cox_type_metric(m->type), (unsigned long long)m->nonce, m->resources.n,
		       m->resources.n ? (int)m->resources.p[0]->name.n : 0, m->resources.n ? m->resources.p[0]->name.p : "", m->removed.n,
		       m->missing.n);
	for (size_t i = 0; i < m->resources.n; i++)
		for (size_t k = 0; k < i; k++)
			if (cox_str_eq(m->resources.p[i]->name, m->resources.p[k]->name))
				sim_fail(e->sim, "proxy %u: %.*s twice in one response", e->index, COX_FMT(m->resources.p[i]->name));
	check_removed(e, m);
	return true;
}

bool envoy_deliver(struct envoy *e)
{
	if (!e->outbox.n)
		return false;
	struct request r = e->outbox.p[0];
	cox_vec_remove(&e->outbox, 0);
	COX_VEC(struct cox_str) add = { 0 }, del = { 0 };
	COX_VEC(struct cox_name_version) known = { 0 };
	char nonce[24] = "";
	for (size_t i = 0; i < r.add.n; i++)
		cox_vec_push(&add, cox_str_of(r.add.p[i]));
	for (size_t i = 0; i < r.del.n; i++)
		cox_vec_push(&del, cox_str_of(r.del.p[i]));
	for (size_t i = 0; i < r.names.n; i++)
		cox_vec_push(&known, ((struct cox_name_version){ cox_str_of(r.names.p[i]), cox_str_of(r.versions.p[i]) }));
	if (r.has_nonce)
		(void)snprintf(nonce, sizeof(nonce), "%llu", (unsigned long long)r.nonce);
	if (e->sim->verbose)
		printf("      <- proxy %u %s %s%s%s +%zu -%zu known %zu\n", e->index, cox_type_metric(r.type),
		       r.error       ? "NACK "
		       : r.has_nonce ? "ack "
		                     : "ask",
		       nonce, r.error ? r.error : "", r.add.n, r.del.n, r.names.n);
	struct cox_err err = { 0 };
	enum cox_rc rc = cox_xds_core_request(e->core,
	                                      &(struct cox_xds_request){ .type = r.type,
	                                                                 .nonce = cox_str_of(nonce),
	                                                                 .error = cox_str_of(r.error),
	                                                                 .has_error = r.error != NULL,
	                                                                 .subscribe = add.p,
	                                                                 .subscribe_n = add.n,
	                                                                 .unsubscribe = del.p,
	                                                                 .unsubscribe_n = del.n,
	                                                                 .initial = known.p,
	                                                                 .initial_n = known.n },
	                                      e->sim->now_ms, &err);
	if (rc != COX_OK)
		sim_fail(e->sim, "proxy %u: a request was refused", e->index);
	cox_vec_fini(&add);
	cox_vec_fini(&del);
	cox_vec_fini(&known);
	request_fini(&r);
	return true;
}

/* --- what a response does ------------------------------------------------------------------------------ */

static void take_cluster(struct envoy *e, const struct cox_resource *r, struct request *eds)
{
	struct held *h = table_find(&e->have[COX_TYPE_CDS], r->name);
	bool is_new = !h;
	if (is_new)
		h = table_get(&e->have[COX_TYPE_CDS], r->name);
	if (h->warming ? same(h->warming, r) : same(h->active, r))
		return; /* no change: nothing warms */
	if (!is_eds_cluster(r)) {
		hold(&h->active, r);
		hold(&h->warming, NULL);
		if (table_find(&e->have[COX_TYPE_EDS], r->name)) {
			table_drop(&e->have[COX_TYPE_EDS], r->name);
			cox_vec_push(&eds->del, cox_str_dup_cstr(r->name));
		}
		return;
	}
	hold(&h->warming, r);
	/* A name that is known already is not asked for again. */
	if (!table_find(&e->have[COX_TYPE_EDS], r->name)) {
		table_get(&e->have[COX_TYPE_EDS], r->name);
		cox_vec_push(&eds->add, cox_str_dup_cstr(r->name));
	}
}

static void drop_cluster(struct envoy *e, struct cox_str name, struct request *eds)
{
	table_drop(&e->have[COX_TYPE_CDS], name);
	if (!table_find(&e->have[COX_TYPE_EDS], name))
		return;
	table_drop(&e->have[COX_TYPE_EDS], name);
	for (size_t i = 0; i < eds->add.n; i++)
		if (cox_str_eq_cstr(name, eds->add.p[i])) {
			cox_free(eds->add.p[i]);
			cox_vec_remove(&eds->add, i);
			return;
		}
	cox_vec_push(&eds->del, cox_str_dup_cstr(name));
}

static void warm_up(struct envoy *e, struct cox_str name)
{
	struct held *h = table_find(&e->have[COX_TYPE_CDS], name);
	if (h && h->warming) {
		hold(&h->active, h->warming);
		hold(&h->warming, NULL);
	}
}

static struct cox_str route_of(struct cox_str vhost)
{
	ptrdiff_t slash = cox_str_find(vhost, '/');
	return cox_str_sub(vhost, 0, (size_t)slash);
}

static bool listener_needs(const struct cox_resource *l, struct cox_str route)
{
	struct cox_str rest, need;
	if (!l || !l->needs.n)
		return false;
	for (rest = l->needs; cox_str_next(&rest, '\n', &need);)
		if (cox_str_has_prefix(need, COX_STR("rds:")) && cox_str_eq(cox_str_sub(need, 4, need.n), route))
			return true;
	return false;
}

/* Routes of listeners: asked for when first named, let go when named no more. A listener serves when all its routes are there. */
static void settle_listeners(struct envoy *e)
{
	struct request rds = { .type = COX_TYPE_RDS };
	struct table *listeners = &e->have[COX_TYPE_LDS], *routes = &e->have[COX_TYPE_RDS];
	for (size_t i = 0; i < listeners->items.n; i++) {
		struct held *h = listeners->items.p[i];
		bool is_ready = true;
		struct cox_str rest = h->warming ? h->warming->needs : COX_STR(""), need;
		while (rest.n && cox_str_next(&rest, '\n', &need)) {
			if (!cox_str_has_prefix(need, COX_STR("rds:")))
				continue;
			struct cox_str name = cox_str_sub(need, 4, need.n);
			struct held *route = table_find(routes, name);
			if (!route) {
				route = table_get(routes, name);
				cox_vec_push(&rds.add, cox_str_dup_cstr(name));
			}
			is_ready &= (route->active || route->is_missing) && !route->needs_vhosts;
		}
		if (h->warming && is_ready) {
			excuse_carried(e, h->active, h->warming);
			hold(&h->active, h->warming);
			hold(&h->warming, NULL);
		}
	}
	for (size_t i = 0; i < routes->items.n; i++) {
		struct cox_str name = cox_str_of(routes->items.p[i]->name);
		bool is_used = false;
		for (size_t k = 0; k < listeners->items.n && !is_used; k++)
			is_used =
			    listener_needs(listeners->items.p[k]->active, name) || listener_needs(listeners->items.p[k]->warming, name);
		if (is_used)
			continue;
		cox_vec_push(&rds.del, cox_str_dup_cstr(name));
		/* Its virtual hosts go with it, yet their versions stay listed. */
		for (size_t k = 0; k < e->have[COX_TYPE_VHDS].items.n; k++) {
			struct held *v = e->have[COX_TYPE_VHDS].items.p[k];
			if (cox_str_eq(route_of(cox_str_of(v->name)), name))
				hold(&v->active, NULL);
		}
		table_drop(routes, name);
		i--;
	}
	ask_changed(e, &rds);
}

static void take_route(struct envoy *e, const struct cox_resource *r)
{
	struct held *h = table_find(&e->have[COX_TYPE_RDS], r->name);
	if (!h)
		return; /* let go meanwhile */
	if (!h->active && e->has_vhds) {
		h->needs_vhosts =
		    true; /* it asks for virtual hosts once, with the first such route configuration of its life on this stream */
		if (!e->is_asked[COX_TYPE_VHDS])
			ask_first(e, COX_TYPE_VHDS);
	}
	excuse_carried(e, h->active, r);
	hold(&h->active, r);
	h->is_missing = false;
}

static void take_vhost(struct envoy *e, const struct cox_resource *r)
{
	struct held *route = table_find(&e->have[COX_TYPE_RDS], route_of(r->name));
	struct held *h = table_get(&e->have[COX_TYPE_VHDS], r->name);
	if (route && route->active) {
		excuse_carried(e, h->active, r);
		hold(&h->active, r);
		route->needs_vhosts = false;
	} else if (e->sim->verbose) {
		printf("      proxy %u dropped virtual host %.*s: it has not got its route\n", e->index, COX_FMT(r->name));
	}
}

/* The answer to the first VirtualHost request frees routes that have no virtual host, too. */
static void free_routes(struct envoy *e)
{
	for (size_t i = 0; i < e->have[COX_TYPE_RDS].items.n; i++)
		if (e->have[COX_TYPE_RDS].items.p[i]->active)
			e->have[COX_TYPE_RDS].items.p[i]->needs_vhosts = false;
}

static void take_one(struct envoy *e, const struct cox_resource *r, struct request *eds)
{
	struct held *h;
	switch (r->type) {
	case COX_TYPE_CDS: take_cluster(e, r, eds); break;
	case COX_TYPE_EDS:
		h = table_find(&e->have[COX_TYPE_EDS], r->name);
		if (h) {
			hold(&h->active, r);
			warm_up(e, r->name);
		}
		break;
	case COX_TYPE_LDS:
		h = table_get(&e->have[COX_TYPE_LDS], r->name);
		if (!(h->warming ? same(h->warming, r) : same(h->active, r)))
			hold(&h->warming, r);
		break;
	case COX_TYPE_RDS: take_route(e, r); break;
	case COX_TYPE_VHDS: take_vhost(e, r); break;
	default: sim_fail(e->sim, "proxy %u: a type that was not asked for", e->index);
	}
}

static void drop_one(struct envoy *e, enum cox_type type, struct cox_str name, struct request *eds)
{
	if (type == COX_TYPE_CDS)
		drop_cluster(e, name, eds);
	else if (type == COX_TYPE_EDS)
		warm_up(e, name); /* "there is none" is an answer, too */
	else if (type == COX_TYPE_VHDS)
		table_drop(&e->have[type], name); /* its own name is the resource's: see translate/route.c */
	else if (type == COX_TYPE_LDS)
		table_drop(&e->have[type], name);
}

/* A state-of-the-world answer of these types lists everything: what it leaves out is gone. */
static void drop_unlisted(struct envoy *e, const struct message *m, struct request *eds)
{
	struct table *t = &e->have[m->type];
	for (size_t i = t->items.n; i-- > 0;) {
		struct cox_str name = cox_str_of(t->items.p[i]->name);
		bool is_listed = false;
		for (size_t k = 0; k < m->resources.n && !is_listed; k++)
			is_listed = cox_str_eq(m->resources.p[k]->name, name);
		if (!is_listed) {
			char *copy = cox_str_dup_cstr(name);
			drop_one(e, m->type, cox_str_of(copy), eds);
			cox_free(copy);
		}
	}
}

static void take_missing(struct envoy *e, const struct message *m)
{
	for (size_t i = 0; i < m->missing.n; i++) {
		struct held *h = table_find(&e->have[m->type], cox_str_of(m->missing.p[i]));
		if (h) {
			h->is_missing = true;
			hold(&h->active, NULL);
		}
		if (m->type == COX_TYPE_EDS)
			warm_up(e, cox_str_of(m->missing.p[i]));
	}
}

static void take_all(struct envoy *e, const struct message *m, bool is_accepted, struct request *eds)
{
	for (size_t i = 0; i < m->resources.n; i++) {
		const struct cox_resource *r = m->resources.p[i];
		if (!envoy_rejects(e, r))
			take_one(e, r, eds);
		else if (m->type != COX_TYPE_CDS && m->type != COX_TYPE_LDS)
			return; /* the first fault ends it */
		struct held *h = table_find(&e->have[m->type], r->name);
		char hex[33];
		cox_hash_to_hex(r->hash, hex);
		if (h && is_accepted)
			(void)snprintf(h->version, sizeof(h->version), "%s", hex);
		if (h && !envoy_rejects(e, r))
			h->is_unlisted = false;
	}
	for (size_t i = 0; i < m->removed.n; i++) {
		struct cox_str name = cox_str_of(m->removed.p[i]);
		const struct held *h = table_find(&e->have[m->type], name);
		char version[40] = "";
		if (h && !is_accepted)
			(void)snprintf(version, sizeof(version), "%s", h->version);
		drop_one(e, m->type, name, eds);
		if (version[0])
			(void)snprintf(table_get(&e->have[m->type], name)->version, sizeof(version), "%s", version);
	}
	if (!e->is_delta && !is_named(m->type))
		drop_unlisted(e, m, eds);
	take_missing(e, m);
}

/* A rejection ends every wait for that type: an Envoy must be able to start with a bad configuration. */
static void stop_waiting(struct envoy *e, enum cox_type type)
{
	if (type == COX_TYPE_EDS)
		for (size_t i = 0; i < e->have[COX_TYPE_CDS].items.n; i++)
			warm_up(e, cox_str_of(e->have[COX_TYPE_CDS].items.p[i]->name));
	for (size_t i = 0; i < e->have[COX_TYPE_RDS].items.n; i++) {
		struct held *h = e->have[COX_TYPE_RDS].items.p[i];
		if (type == COX_TYPE_RDS && !h->active)
			h->is_missing = true;
		if (type == COX_TYPE_VHDS)
			h->needs_vhosts = false;
	}
}

/* NULL: everything is to its taste. */
static const struct cox_resource *find_fault(struct envoy *e, const struct message *m)
{
	if (e->sim->nacks_on && m->resources.n && rng_chance(&e->sim->rng, 80)) {
		const struct cox_resource *r = m->resources.p[rng_below(&e->sim->rng, (unsigned)m->resources.n)];
		const struct held *h = table_find(&e->have[m->type], r->name);
		if (!h || !(same(h->active, r) || same(h->warming, r))) /* what it has it does not look at again */
			cox_vec_push(&e->bad, bad_key(r));
	}
	for (size_t i = 0; i < m->resources.n; i++)
		if (envoy_rejects(e, m->resources.p[i]))
			return m->resources.p[i];
	return NULL;
}

static char *complain(struct envoy *e, const struct cox_resource *fault)
{
	char text[400];
	struct cox_str name = fault->name;
	ptrdiff_t slash = fault->type == COX_TYPE_VHDS ? cox_str_find(name, '/') : -1;
	unsigned how = rng_below(&e->sim->rng, 4);
	if (how == 0)
		(void)snprintf(text, sizeof(text), "not to my taste");
	else if (how == 1)
		(void)snprintf(text, sizeof(text), "name: \"%.*s\" : validation failed",
		               COX_FMT(cox_str_sub(name, (size_t)(slash + 1), name.n)));
	else
		(void)snprintf(text, sizeof(text), "Error adding/updating resource(s) %.*s: not to my taste", COX_FMT(name));
	return cox_str_dup_cstr(cox_str_of(text));
}

bool envoy_read(struct envoy *e)
{
	if (!e->inbox.n)
		return false;
	struct message m = e->inbox.p[0];
	cox_vec_remove(&e->inbox, 0);
	const struct cox_resource *fault = find_fault(e, &m);
	struct request answer = { .type = m.type, .nonce = m.nonce, .has_nonce = true }, eds = { .type = COX_TYPE_EDS };
	if (fault)
		answer.error = complain(e, fault);
	e->last_nonce[m.type] = m.nonce;
	if (!fault || rng_below(&e->sim->rng, 3)) /* else it does not even decode: nothing of it is taken */
		take_all(e, &m, !fault, &eds);
	if (fault)
		stop_waiting(e, m.type);
	else if (m.type == COX_TYPE_VHDS && m.nonce == 1)
		free_routes(e);
	if (!e->is_delta)
		name_all(e, &answer);
	if (m.type == COX_TYPE_CDS && e->was_started) /* while it starts nothing is held back, and listeners are not asked yet */
		cox_vec_push(&e->held_acks, answer);
	else
		cox_vec_push(&e->outbox, answer);
	ask_changed(e, &eds);
	settle_listeners(e);
	on_warm(e);
	e->is_rejoining &= !e->last_nonce[COX_TYPE_LDS] || (e->have[COX_TYPE_RDS].items.n && !e->last_nonce[COX_TYPE_RDS]);
	message_fini(&m);
	return true;
}
