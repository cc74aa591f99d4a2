/*
 * EnvoyFilters in the engine: a change of one touches those that it selects, and no others; what each patch did is known.
 * covers: a153 b5
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "codec/yaml.h"
#include "push/push_priv.h"

#include <stdio.h>

enum { CLIENTS = 3 }; /* web, web (another pod), other */
struct fixture {
	struct cox_loop *loop;
	struct cox_registry *registry;
	struct cox_push *push;
	struct seat {
		struct fixture *f;
		struct cox_push_client *client;
		const struct cox_wanted *parts[COX_PUSH_PARTS];
	} seats[CLIENTS];
	uint64_t generation; /* to be reached */
	unsigned told;
};

static void on_deliver(void *arg, const struct cox_wanted *const parts[COX_PUSH_PARTS])
{
	struct seat *s = arg;
	for (unsigned part = 0; part < COX_PUSH_PARTS; part++) {
		cox_wanted_unref(s->parts[part]);
		s->parts[part] = cox_wanted_ref(parts[part]);
	}
}
static void on_patched(void *arg) { ((struct fixture *)arg)->told++; }

static void on_doc(void *arg, struct cox_json *root, struct cox_str text, const struct cox_err *err)
{
	struct fixture *f = arg;
	struct cox_arena arena = { 0 };
	struct cox_diags diags = { .arena = &arena };
	const struct cox_object *o;
	(void)text, (void)err;
	assert_int_equal(cox_object_build(root, COX_STR("unit"), COX_STR("default"), &arena, &diags, &o), COX_OK);
	cox_registry_put(f->registry, o);
	cox_object_unref(o);
	cox_arena_fini(&arena);
}

static bool is_quiet(void *arg)
{
	struct fixture *f = arg;
	struct cox_push *p = f->push;
	if (!p->snapshot || p->snapshot->generation < f->generation || p->dirty.n || p->firsts.n || p->has_changes || p->outbox.n)
		return false;
	for (unsigned i = 0; i < CLIENTS; i++)
		for (unsigned part = 0; part < COX_PUSH_PARTS; part++)
			if (f->seats[i].client &&
			    (!f->seats[i].client->units[part] || f->seats[i].client->units[part]->wanted != f->seats[i].parts[part]))
				return false;
	return true;
}

static void put(struct fixture *f, const char *yaml)
{
	struct cox_arena arena = { 0 };
	assert_int_equal(cox_yaml_each(&arena, cox_str_of(yaml), 1 << 20, on_doc, f, NULL), COX_OK);
	cox_arena_fini(&arena);
	f->generation++;
	cox_push_poke(f->push);
	assert_true(cox_loop_run_until(f->loop, is_quiet, f, 10000));
}

static void attach(struct fixture *f, unsigned i, const char *app)
{
	char text[400];
	struct cox_arena arena = { 0 };
	struct cox_json *json;
	struct cox_proxy *proxy;
	snprintf(
	    text, sizeof(text),
	    "{\"id\":\"sidecar~10.1.0.%u~p%u.default~default.svc.cluster.local\",\"metadata\":{\"NAMESPACE\":\"default\",\"LABELS\":{\"app\":\"%s\"}}}",
	    10 + i, i, app);
	assert_int_equal(cox_json_parse(&arena, cox_str_of(text), &json, NULL), COX_OK);
	assert_int_equal(cox_proxy_build(json, &proxy, NULL), COX_OK);
	cox_arena_fini(&arena);
	f->seats[i].f = f;
	f->seats[i].client =
	    cox_push_attach(f->push, &(struct cox_push_client_spec){
	                                 .loop = f->loop, .proxy = proxy, .is_delta = true, .deliver = on_deliver, .arg = &f->seats[i] });
	cox_proxy_unref(proxy);
	assert_true(cox_loop_run_until(f->loop, is_quiet, f, 10000));
}

#define SERVICE \
	"apiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: default}\nspec: {clusterIP: 10.96.0.1, ports: [{name: http, port: 80}]}\n"
#define FILTER(name, app, patches)                                                                                           \
	"---\napiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {name: " name ", namespace: default}\n" \
	"spec:\n  workloadSelector: {labels: {app: " app "}}\n  configPatches:\n" patches
#define ADD(name) "  - {applyTo: CLUSTER, match: {context: SIDECAR_OUTBOUND}, patch: {operation: ADD, value: {name: " name "}}}\n"
#define NEVER "  - {applyTo: CLUSTER, match: {cluster: {name: none}}, patch: {operation: REMOVE}}\n"
#define ECDS                                                                                                    \
	"  - {applyTo: EXTENSION_CONFIG, patch: {operation: ADD, value: {name: ext, typed_config: {\"@type\": " \
	"type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}}}\n"

static void begin(struct fixture *f)
{
	*f = (struct fixture){ .loop = cox_loop_new("unit") };
	f->registry = cox_registry_new(&(struct cox_registry_options){
	    .domain = COX_STR("cluster.local"), .cluster_id = COX_STR("Kubernetes"), .root_namespace = COX_STR("istio-system") });
	f->push = cox_push_new(&(struct cox_push_options){ .loop = f->loop, .registry = f->registry, .on_patched = on_patched, .arg = f });
	cox_push_set_synced(f->push);
	put(f, SERVICE);
	attach(f, 0, "web");
	attach(f, 1, "web");
	attach(f, 2, "other");
}

static bool nobody_is_left(void *arg) { return ((struct fixture *)arg)->push->clients.n == 0; }

static void end(struct fixture *f)
{
	for (unsigned i = 0; i < CLIENTS; i++) {
		cox_push_detach(f->push, &f->seats[i].client);
		for (unsigned part = 0; part < COX_PUSH_PARTS; part++)
			cox_wanted_unref(f->seats[i].parts[part]);
	}
	assert_true(cox_loop_run_until(f->loop, nobody_is_left, f, 10000));
	cox_push_free(f->push);
	cox_registry_free(f->registry);
	cox_loop_free(&f->loop);
}

static bool has(const struct fixture *f, unsigned i, enum cox_type type, const char *name)
{
	unsigned part = type == COX_TYPE_ECDS ? COX_PUSH_WORKLOAD : COX_PUSH_SCOPE;
	const struct cox_set *s = f->seats[i].parts[part]->sets[type];
	return s && cox_set_find(s, cox_str_of(name));
}

static void test_who_is_touched(void **state)
{
	struct fixture f;
	(void)state;
	begin(&f);
	assert_ptr_equal(f.seats[0].parts[COX_PUSH_SCOPE], f.seats[2].parts[COX_PUSH_SCOPE]); /* no selector: one view */
	assert_int_equal(f.told, 0);                                                          /* nobody pays for what nobody uses */
	put(&f, FILTER("web", "web", ADD("a") NEVER ECDS));
	assert_ptr_equal(f.seats[0].parts[COX_PUSH_SCOPE], f.seats[1].parts[COX_PUSH_SCOPE]);
	assert_true(has(&f, 0, COX_TYPE_CDS, "a") && !has(&f, 2, COX_TYPE_CDS, "a"));
	assert_true(has(&f, 1, COX_TYPE_ECDS, "ext") && !has(&f, 2, COX_TYPE_ECDS, "ext"));
	/* A change for the one leaves the other as it is, and what no patch touches is shared by both. */
	const struct cox_wanted *other = f.seats[2].parts[COX_PUSH_SCOPE], *own = f.seats[2].parts[COX_PUSH_WORKLOAD];
	put(&f, FILTER("web", "web", ADD("b") NEVER));
	assert_true(has(&f, 0, COX_TYPE_CDS, "b") && !has(&f, 0, COX_TYPE_CDS, "a") && !has(&f, 0, COX_TYPE_ECDS, "ext"));
	assert_ptr_equal(other, f.seats[2].parts[COX_PUSH_SCOPE]);
	assert_ptr_equal(own, f.seats[2].parts[COX_PUSH_WORKLOAD]);
	assert_ptr_equal(f.seats[0].parts[COX_PUSH_SCOPE]->sets[COX_TYPE_LDS], f.seats[2].parts[COX_PUSH_SCOPE]->sets[COX_TYPE_LDS]);
	const struct cox_wanted *web = f.seats[0].parts[COX_PUSH_SCOPE];
	put(&f, FILTER("other", "other", ADD("c")));
	assert_ptr_equal(web, f.seats[0].parts[COX_PUSH_SCOPE]);
	assert_true(has(&f, 2, COX_TYPE_CDS, "c"));
	end(&f);
}

static void test_what_it_did(void **state)
{
	struct fixture f;
	struct cox_arena arena = { 0 };
	struct cox_push_patch *p;
	(void)state;
	begin(&f);
	put(&f, FILTER("web", "web", ADD("a") NEVER));
	put(&f, FILTER("all", "none", ADD("x")));
	assert_true(f.told > 0);
	assert_int_equal(cox_push_patches(f.push, &arena, &p), 2);
	assert_true(cox_str_eq_cstr(p[0].object->id, "EnvoyFilter/default/web") && p[0].at == 0);
	assert_int_equal(p[0].proxies, 2);
	assert_int_equal(p[0].proxies_matched, 2);
	assert_int_equal(p[0].objects, 1);
	assert_int_equal(p[1].proxies, 2);
	assert_int_equal(p[1].proxies_matched, 0);
	assert_int_equal(p[1].objects, 0);
	struct cox_buf text = { 0 };
	cox_json_write(&text, cox_push_dump_patches(f.push, &arena), 0, false);
	assert_non_null(strstr(cox_buf_cstr(&text), "{\"filter\":\"default/web\",\"patch\":0,\"applyTo\":\"CLUSTER\",\"objects\":1}"));
	assert_non_null(
	    strstr(cox_buf_cstr(&text), "\"part\":\"outbound\",\"type\":\"sidecar\",\"class\":\"upstream\",\"namespace\":\"default\""));
	cox_buf_fini(&text);
	cox_arena_fini(&arena);
	end(&f);
}

static const struct cox_resource *cluster(const struct fixture *f, const char *name)
{
	return cox_set_find(f->seats[0].parts[COX_PUSH_SCOPE]->sets[COX_TYPE_CDS], cox_str_of(name));
}
#define TIMEOUT(s)                                                                                                                               \
	"  - {applyTo: CLUSTER, match: {cluster: {service: s.default.svc.cluster.local}}, patch: {operation: MERGE, value: {connect_timeout: " s \
	"s}}}\n"

struct until {
	struct fixture *f;
	const struct cox_resource *want;
	const char *name;
};
static bool is_served(void *arg)
{
	const struct until *u = arg;
	return is_quiet(u->f) && cluster(u->f, u->name) == u->want;
}

/* covers: b24: what a proxy rejects makes way for the last version that was accepted, even if others came and went unanswered since. */
static void test_the_last_good_version_comes_back(void **state)
{
	struct fixture f;
	const char *name = "outbound|80||s.default.svc.cluster.local";
	(void)state;
	begin(&f);
	put(&f, FILTER("web", "web", TIMEOUT("1")));
	const struct cox_resource *good = cox_resource_ref(cluster(&f, name));
	cox_resource_mark_accepted(good, COX_CLASS_UPSTREAM);
	put(&f, FILTER("web", "web", TIMEOUT("2")));
	put(&f, FILTER("web", "web", TIMEOUT("3")));
	assert_true(cluster(&f, name) != good);
	for (unsigned i = 0; i < CLIENTS; i++)
		cox_push_reject(f.push, f.seats[i].client, cluster(&f, name), COX_STR("no"));
	struct until until = { &f, good, name };
	assert_true(cox_loop_run_until(f.loop, is_served, &until, 10000));
	/* It is kept while the filter stays as it is, and a new version gets its try. */
	put(&f, FILTER("other", "other", ADD("x")));
	assert_ptr_equal(cluster(&f, name), good);
	put(&f, FILTER("web", "web", TIMEOUT("4")));
	assert_ptr_not_equal(cluster(&f, name), good);
	/* What was never accepted in any version is left out. */
	put(&f, FILTER("more", "web", ADD("new")));
	cox_push_reject(f.push, f.seats[0].client, cluster(&f, "new"), COX_STR("no"));
	until = (struct until){ &f, NULL, "new" };
	assert_true(cox_loop_run_until(f.loop, is_served, &until, 10000));
	cox_resource_unref(good);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_is_touched),
		cmocka_unit_test(test_what_it_did),
		cmocka_unit_test(test_the_last_good_version_comes_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
