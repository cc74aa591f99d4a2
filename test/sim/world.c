/* world - the objects, their events, and the push engine turned by hand. */
#include "sim.h"

#include "base/clock.h"
#include "codec/yaml.h"
#include "model/object.h"

#include <stdio.h>

uint64_t rng_next(struct rng *r)
{
	uint64_t z = (r->s += 0x9e3779b97f4a7c15u);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}
unsigned rng_below(struct rng *r, unsigned bound) { return (unsigned)(rng_next(r) % bound); }

/* --- objects ------------------------------------------------------------------------------------ */

enum { SERVICES = 5, PODS = 15 };
static const char *const svc_ns[SERVICES] = { "default", "default", "default", "other", "other" };

static void add_slot(struct world *w, enum cox_kind kind, const char *ns, const char *before, const char *after, unsigned i)
{
	struct slot *s = &w->slots[w->slot_n++];
	COX_ASSERT(w->slot_n <= SLOTS_MAX);
	s->kind = kind;
	s->variant = i;
	(void)snprintf(s->ns, sizeof(s->ns), "%s", ns);
	if (after)
		(void)snprintf(s->name, sizeof(s->name), "%s%u%s", before, i, after);
	else
		(void)snprintf(s->name, sizeof(s->name), "%s", before);
}

static void make_slots(struct world *w)
{
	add_slot(w, COX_KIND_NAMESPACE, "", "default", NULL, 0);
	add_slot(w, COX_KIND_NAMESPACE, "", "other", NULL, 0);
	for (unsigned i = 0; i < SERVICES; i++) {
		add_slot(w, COX_KIND_SERVICE, svc_ns[i], "s", "", i);
		add_slot(w, COX_KIND_ENDPOINT_SLICE, svc_ns[i], "s", "-a", i);
		add_slot(w, COX_KIND_ENDPOINT_SLICE, svc_ns[i], "s", "-b", i);
		add_slot(w, COX_KIND_VIRTUAL_SERVICE, svc_ns[i], "v", "", i);
		add_slot(w, COX_KIND_DESTINATION_RULE, svc_ns[i], "d", "", i);
	}
	for (unsigned i = 0; i < PODS; i++)
		add_slot(w, COX_KIND_POD, svc_ns[i % SERVICES], "p", "", i);
	add_slot(w, COX_KIND_SIDECAR, "default", "all-", "", 0);
	add_slot(w, COX_KIND_SIDECAR, "default", "some-", "", 1);
	add_slot(w, COX_KIND_GATEWAY, "default", "gw-", "", 0);
	add_slot(w, COX_KIND_VIRTUAL_SERVICE, "default", "gv-", "", 100);
	add_slot(w, COX_KIND_SERVICE_ENTRY, "default", "ext-", "", 0);
}

static void put_head(struct cox_buf *b, const struct slot *s, const char *api, const char *kind, const char *labels)
{
	cox_buf_printf(b, "apiVersion: %s\nkind: %s\nmetadata:\n  name: %s\n", api, kind, s->name);
	if (s->ns[0])
		cox_buf_printf(b, "  namespace: %s\n", s->ns);
	cox_buf_printf(b, "  creationTimestamp: \"2026-01-%02uT%02u:%02u:00Z\"\n", 1 + s->created / 1440 % 28, s->created / 60 % 24,
	               s->created % 60);
	if (labels)
		cox_buf_printf(b, "  labels: {%s}\n", labels);
}

static void write_service(struct cox_buf *b, struct slot *s, struct rng *r)
{
	put_head(b, s, "v1", "Service", NULL);
	unsigned kind = rng_below(r, 8);
	cox_buf_printf(b, "spec:\n  clusterIP: %s\n", kind == 0 ? "None" : "");
	b->n -= kind == 0 ? 0 : 1;
	if (kind)
		cox_buf_printf(b, "10.96.0.%u\n", 10 + s->variant);
	cox_buf_printf(b, "  selector: {app: s%u}\n  ports:\n", s->variant);
	if (rng_below(r, 4))
		cox_buf_append_cstr(b, "  - {name: http, port: 80, targetPort: 8080}\n");
	else
		cox_buf_append_cstr(b, "  - {name: tcp, port: 80, targetPort: 8080}\n");
	if (rng_chance(r, 2))
		cox_buf_append_cstr(b, "  - {name: http-alt, port: 8000, targetPort: 8080}\n");
	if (rng_chance(r, 3))
		cox_buf_append_cstr(b, "  - {name: tcp-db, port: 5432, targetPort: 5432}\n");
}

static void write_slice(struct cox_buf *b, struct slot *s, struct rng *r)
{
	char label[64];
	(void)snprintf(label, sizeof(label), "kubernetes.io/service-name: s%u", s->variant);
	put_head(b, s, "discovery.k8s.io/v1", "EndpointSlice", label);
	cox_buf_append_cstr(
	    b,
	    "addressType: IPv4\nports:\n- {name: http, port: 8080}\n- {name: tcp, port: 8080}\n- {name: http-alt, port: 8080}\n- {name: tcp-db, port: 5432}\nendpoints:");
	/* As Kubernetes would: pods that the selector means. */
	unsigned mask = rng_below(r, 8);
	if (!mask || rng_chance(r, 6))
		cox_buf_append_cstr(b, " []\n");
	else {
		cox_buf_append_char(b, '\n');
		for (unsigned i = s->variant; i < PODS; i += SERVICES)
			if (mask & 1u << i / SERVICES)
				cox_buf_printf(
				    b,
				    "- {addresses: [10.1.0.%u], conditions: {ready: %s}, targetRef: {kind: Pod, name: p%u, namespace: %s}}\n",
				    10 + i, rng_below(r, 5) ? "true" : "false", i, svc_ns[i % SERVICES]);
	}
}

static void write_pod(struct cox_buf *b, struct slot *s, struct rng *r)
{
	char labels[64];
	(void)snprintf(labels, sizeof(labels), "app: s%u, version: v%u", s->variant % SERVICES, 1 + rng_below(r, 2));
	put_head(b, s, "v1", "Pod", labels);
	cox_buf_printf(b, "spec: {serviceAccountName: %s, nodeName: n%u}\nstatus: {podIP: 10.1.0.%u, phase: Running}\n",
	               rng_chance(r, 4) ? "special" : "default", s->variant % 2, 10 + s->variant);
}

static void write_destination(struct cox_buf *b, struct rng *r)
{
	unsigned to = rng_below(r, SERVICES);
	cox_buf_printf(b, "{host: s%u.%s.svc.cluster.local, port: {number: 80}", to, svc_ns[to]);
	if (rng_chance(r, 2))
		cox_buf_printf(b, ", subset: v%u", 1 + rng_below(r, 2));
	cox_buf_append_char(b, '}');
}

static void write_virtual_service(struct cox_buf *b, struct slot *s, struct rng *r)
{
	put_head(b, s, "networking.istio.io/v1", "VirtualService", NULL);
	if (s->variant == 100)
		cox_buf_append_cstr(b, "spec:\n  hosts: [\"*\"]\n  gateways: [gw-0]\n  http:\n");
	else
		cox_buf_printf(b, "spec:\n  hosts: [s%u]\n  http:\n", s->variant);
	if (rng_chance(r, 2)) {
		cox_buf_printf(b, "  - match: [{uri: {prefix: /p%u}}]\n    route: [{destination: ", rng_below(r, 3));
		write_destination(b, r);
		cox_buf_append_cstr(b, "}]\n");
	}
	cox_buf_printf(b, "  - timeout: %us\n    route:\n    - destination: ", 1 + rng_below(r, 4));
	write_destination(b, r);
	if (rng_chance(r, 3)) {
		cox_buf_append_cstr(b, "\n      weight: 30\n    - weight: 70\n      destination: ");
		write_destination(b, r);
	}
	cox_buf_append_char(b, '\n');
}

static void write_rule(struct cox_buf *b, struct slot *s, struct rng *r)
{
	put_head(b, s, "networking.istio.io/v1", "DestinationRule", NULL);
	cox_buf_printf(b, "spec:\n  host: s%u\n", s->variant);
	if (rng_chance(r, 3))
		cox_buf_printf(b, "  trafficPolicy: {connectionPool: {tcp: {maxConnections: %u}}}\n", 1 + rng_below(r, 3));
	unsigned mask = rng_below(r, 4);
	if (mask) {
		cox_buf_append_cstr(b, "  subsets:\n");
		for (unsigned i = 0; i < 2; i++)
			if (mask & 1u << i)
				cox_buf_printf(b, "  - {name: v%u, labels: {version: v%u}}\n", i + 1, i + 1);
	}
}

static void write_sidecar(struct cox_buf *b, struct slot *s, struct rng *r)
{
	static const char *const hosts[] = { "\"./*\"", "\"other/*\"", "\"*/*\"", "\"./s0.default.svc.cluster.local\"",
		                             "\"./*\", \"other/s3.other.svc.cluster.local\"" };
	put_head(b, s, "networking.istio.io/v1", "Sidecar", NULL);
	cox_buf_append_cstr(b, "spec:\n");
	if (s->variant == 1)
		cox_buf_printf(b, "  workloadSelector: {labels: {version: v%u}}\n", 1 + rng_below(r, 2));
	cox_buf_printf(b, "  egress: [{hosts: [%s]}]\n", hosts[rng_below(r, COX_LEN(hosts))]);
}

static void write_slot(struct slot *s, struct rng *r)
{
	struct cox_buf b = { 0 };
	if (s->kind == COX_KIND_NAMESPACE)
		put_head(&b, s, "v1", "Namespace", NULL);
	else if (s->kind == COX_KIND_SERVICE)
		write_service(&b, s, r);
	else if (s->kind == COX_KIND_ENDPOINT_SLICE)
		write_slice(&b, s, r);
	else if (s->kind == COX_KIND_POD)
		write_pod(&b, s, r);
	else if (s->kind == COX_KIND_VIRTUAL_SERVICE)
		write_virtual_service(&b, s, r);
	else if (s->kind == COX_KIND_DESTINATION_RULE)
		write_rule(&b, s, r);
	else if (s->kind == COX_KIND_SIDECAR)
		write_sidecar(&b, s, r);
	else if (s->kind == COX_KIND_GATEWAY) {
		put_head(&b, s, "networking.istio.io/v1", "Gateway", NULL);
		cox_buf_printf(
		    &b,
		    "spec:\n  selector: {istio: ingress}\n  servers: [{port: {number: %u, name: http, protocol: HTTP}, hosts: [\"*\"]}]\n",
		    8080 + rng_below(r, 2));
	} else {
		put_head(&b, s, "networking.istio.io/v1", "ServiceEntry", NULL);
		cox_buf_printf(
		    &b,
		    "spec:\n  hosts: [ext.example.com]\n  ports: [{number: 80, name: http, protocol: HTTP}]\n  resolution: %s\n  endpoints: [{address: 192.0.2.%u}]\n",
		    rng_chance(r, 2) ? "STATIC" : "DNS", 1 + rng_below(r, 3));
	}
	COX_ASSERT(b.n < sizeof(s->text));
	memcpy(s->text, cox_buf_cstr(&b), b.n + 1);
	cox_buf_fini(&b);
}

struct built {
	struct cox_arena *arena;
	const struct cox_object *o;
	const char *text;
};
static void on_doc(void *arg, struct cox_json *root, struct cox_str text, const struct cox_err *err)
{
	struct built *b = arg;
	struct cox_diags diags = { .arena = b->arena };
	(void)text;
	if (!root || cox_object_build(root, COX_STR("sim"), COX_STR("default"), b->arena, &diags, &b->o) != COX_OK) {
		char line[300];
		fprintf(stderr, "object refused: %s %.*s\n%s\n", root ? "" : cox_err_describe(err, line, sizeof(line)),
		        diags.n ? (int)diags.items[0].text.n : 0, diags.n ? diags.items[0].text.p : "", b->text);
		COX_ASSERT(!"the simulation's objects are valid");
	}
}

static void put_slot(struct cox_registry *r, const struct slot *s)
{
	struct cox_arena arena = { 0 };
	struct built b = { &arena, NULL, s->text };
	enum cox_rc rc = cox_yaml_each(&arena, cox_str_of(s->text), 1 << 20, on_doc, &b, NULL);
	COX_ASSERT(rc == COX_OK && b.o);
	cox_registry_put(r, b.o);
	cox_object_unref(b.o);
	cox_arena_fini(&arena);
}

static void feed(struct sim *s, struct slot *slot)
{
	if (slot->is_present)
		put_slot(s->world.registry, slot);
	else
		cox_registry_remove(s->world.registry, slot->kind, cox_str_of(slot->ns), cox_str_of(slot->name));
	slot->is_lost = false;
}

static void change_slot(struct sim *s, struct slot *slot)
{
	bool may_go = slot->kind != COX_KIND_NAMESPACE;
	if (slot->is_present && may_go && rng_chance(&s->rng, 3)) {
		slot->is_present = false;
	} else {
		if (!slot->is_present)
			slot->created = s->step;
		slot->is_present = true;
		write_slot(slot, &s->rng);
	}
	(void)snprintf(s->action, sizeof(s->action), "%s %s/%s/%s", slot->is_present ? "put" : "remove", cox_kind_info(slot->kind)->name.p,
	               slot->ns, slot->name);
}

void world_change(struct sim *s)
{
	/* Endpoints change most. */
	struct slot *slot = &s->world.slots[rng_below(&s->rng, (unsigned)s->world.slot_n)];
	for (unsigned i = 0; i < 2 && slot->kind != COX_KIND_ENDPOINT_SLICE; i++)
		if (rng_chance(&s->rng, 3))
			slot = &s->world.slots[rng_below(&s->rng, (unsigned)s->world.slot_n)];
	change_slot(s, slot);
	slot->is_lost = true;
	if (rng_below(&s->rng, 20))
		feed(s, slot);
	else
		(void)strncat(s->action, " (lost)", sizeof(s->action) - strlen(s->action) - 1);
}

void world_repeat(struct sim *s)
{
	struct slot *slot = &s->world.slots[rng_below(&s->rng, (unsigned)s->world.slot_n)];
	feed(s, slot);
	(void)snprintf(s->action, sizeof(s->action), "repeat %s", slot->name);
}

void world_relist(struct sim *s)
{
	size_t n = s->world.slot_n, start = rng_below(&s->rng, (unsigned)n);
	for (size_t i = 0; i < n; i++)
		feed(s, &s->world.slots[(start + i * 7) % n]);
	(void)snprintf(s->action, sizeof(s->action), "relist");
}

/* --- the engine, by hand ------------------------------------------------------------------------- */

struct mark_task {
	struct cox_loop_task task;
	bool ran;
};
static void on_mark(struct cox_loop_task *t) { ((struct mark_task *)(void *)t)->ran = true; }
static bool has_run(void *arg) { return ((struct mark_task *)arg)->ran; }

/* Everything that was posted before now has run, in its order. */
void loop_settle(struct cox_loop *l)
{
	struct mark_task m = { .task = { .fn = on_mark } };
	cox_loop_post(l, &m.task);
	COX_ASSERT(cox_loop_run_until(l, has_run, &m, 10000));
}

static struct cox_registry *new_registry(void)
{
	return cox_registry_new(&(struct cox_registry_options){
	    .domain = COX_STR("cluster.local"), .cluster_id = COX_STR("Kubernetes"), .root_namespace = COX_STR("istio-system") });
}

static void on_rejected(void *arg, const struct cox_proxy *proxy, enum cox_type type, struct cox_str name, struct cox_str origins,
                        struct cox_str message)
{
	(void)proxy;
	struct sim *s = arg;
	(void)origins, (void)message;
	s->world.rejections++;
	if (s->verbose)
		printf("      quarantined %s %.*s\n", cox_type_metric(type), COX_FMT(name));
}

static void start_engine(struct sim *s)
{
	s->world.registry = new_registry();
	s->world.push = cox_push_new(
	    &(struct cox_push_options){ .loop = s->world.loop, .registry = s->world.registry, .on_reject = on_rejected, .arg = s });
}

static void stop_engine(struct sim *s)
{
	loop_settle(s->world.loop);
	cox_push_free(s->world.push);
	cox_registry_free(s->world.registry);
}

void world_init(struct sim *s)
{
	make_slots(&s->world);
	s->world.loop = cox_loop_new("sim");
	start_engine(s);
	for (size_t i = 0; i < s->world.slot_n; i++)
		if (s->world.slots[i].kind == COX_KIND_NAMESPACE || rng_below(&s->rng, 3)) {
			change_slot(s, &s->world.slots[i]);
			feed(s, &s->world.slots[i]);
		}
	world_turn(s, true);
}

void world_fini(struct sim *s)
{
	stop_engine(s);
	cox_loop_free(&s->world.loop);
	for (struct cox_map_entry *e = NULL; (e = cox_map_next(&s->world.excused, e));)
		cox_free(e->value);
	cox_map_fini(&s->world.excused);
}

static void take_changes(struct cox_push *p)
{
	struct cox_registry_changes fresh = { 0 };
	cox_registry_take_changes(p->opts.registry, &fresh);
	for (size_t i = 0; i < fresh.items.n; i++)
		if (fresh.items.p[i].is_endpoints_only && p->snapshot)
			push_endpoints_apply(p, &fresh.items.p[i]);
		else
			p->has_changes = true;
	cox_registry_changes_fini(&fresh);
}

static void begin_round(struct cox_push *p)
{
	const struct cox_snapshot *before = p->snapshot;
	bool is_first = !before;
	p->has_changes = false;
	p->snapshot = cox_snapshot_build(p->opts.registry, before);
	push_overrides_clear(p);
	cox_memo_begin(p->memo);
	push_endpoints_compare(p, before);
	cox_snapshot_unref(before);
	p->snapshot_inputs = push_snapshot_inputs(p->snapshot);
	struct cox_hash keying = push_keying(p->snapshot);
	if (is_first || !cox_hash_eq(keying, p->keying))
		push_rekey(p);
	p->keying = keying;
	for (unsigned part = 0; part < COX_PUSH_PARTS; part++)
		for (struct cox_map_entry *m = NULL; (m = cox_map_next(&p->units[part], m));)
			push_unit_mark(p, m->value);
}

static struct unit *next_unit(struct cox_push *p)
{
	struct unit *u = NULL;
	if (p->firsts.n) {
		u = p->firsts.p[0];
		cox_vec_remove(&p->firsts, 0);
		u->is_first = false;
	} else if (p->dirty.n) {
		u = p->dirty.p[--p->dirty.n];
	}
	if (u)
		u->is_dirty = false;
	return u;
}

static void sweep(struct cox_push *p)
{
	cox_memo_sweep(p->memo);
	cox_intern_sweep(&p->intern);
	push_rejections_sweep(p, false);
}

void world_turn(struct sim *s, bool to_the_end)
{
	struct cox_push *p = s->world.push;
	if (to_the_end || rng_chance(&s->rng, 4))
		push_rejections_review(p, s->now_ms);
	do {
		take_changes(p);
		if (!p->dirty.n && !p->firsts.n && (p->has_changes || !p->snapshot))
			begin_round(p);
		for (unsigned i = to_the_end ? 1000 : rng_below(&s->rng, 4); i > 0; i--) {
			struct unit *u = next_unit(p);
			if (!u)
				break;
			if (push_unit_work(p, u))
				push_queue_all(p, u);
		}
		push_flush(p);
		loop_settle(s->world.loop);
	} while (to_the_end && (p->dirty.n || p->firsts.n || p->has_changes));
	if (!p->dirty.n && !p->firsts.n && rng_chance(&s->rng, 3))
		sweep(p);
}

void world_restart(struct sim *s)
{
	stop_engine(s);
	start_engine(s);
	world_relist(s);
	world_turn(s, true);
}

void world_render(struct sim *s, const struct cox_proxy *proxy, struct cox_rendered *out)
{
	struct cox_registry *r = new_registry();
	struct cox_registry_changes changes = { 0 };
	for (size_t i = 0; i < s->world.slot_n; i++)
		if (s->world.slots[i].is_present)
			put_slot(r, &s->world.slots[i]);
	cox_registry_take_changes(r, &changes);
	cox_registry_changes_fini(&changes);
	struct cox_snapshot *snap = cox_snapshot_build(r, NULL);
	struct cox_memo *memo = cox_memo_new();
	cox_memo_begin(memo);
	cox_translate_proxy(snap, proxy, memo, out);
	cox_memo_free(memo);
	cox_snapshot_unref(snap);
	cox_registry_free(r);
}

struct cox_proxy *proxy_of(const char *text)
{
	struct cox_arena arena = { 0 };
	struct cox_json *json;
	struct cox_proxy *p;
	COX_ASSERT(cox_json_parse(&arena, cox_str_of(text), &json, NULL) == COX_OK);
	COX_ASSERT(cox_proxy_build(json, &p, NULL) == COX_OK);
	cox_arena_fini(&arena);
	return p;
}
