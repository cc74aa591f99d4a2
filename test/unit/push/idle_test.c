/*
 * Streams that end and come back find what was made for them; nothing is made for nobody.
 * covers: b25
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "codec/yaml.h"
#include "push/push_priv.h"

#include <stdio.h>

struct fixture {
	struct cox_loop *loop;
	struct cox_registry *registry;
	struct cox_push *push;
	struct cox_push_client *client;
	const struct cox_wanted *parts[COX_PUSH_PARTS];
};

static void on_deliver(void *arg, const struct cox_wanted *const parts[COX_PUSH_PARTS])
{
	struct fixture *f = arg;
	for (unsigned part = 0; part < COX_PUSH_PARTS; part++) {
		cox_wanted_unref(f->parts[part]);
		f->parts[part] = cox_wanted_ref(parts[part]);
	}
}

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

static bool is_idle(const struct cox_push *p) { return p->snapshot && !p->dirty.n && !p->firsts.n && !p->has_changes && !p->outbox.n; }
static bool is_served(void *arg)
{
	struct fixture *f = arg;
	return is_idle(f->push) && f->client->units[0] && f->parts[0] == f->client->units[0]->wanted &&
	       f->parts[1] == f->client->units[1]->wanted;
}
static bool is_alone(void *arg) { return ((struct fixture *)arg)->push->clients.n == 0; }
static bool has_generation(void *arg)
{
	struct cox_push *p = ((struct fixture *)arg)->push;
	return is_idle(p) && p->snapshot->generation > 1;
}

static void put(struct fixture *f, const char *yaml)
{
	struct cox_arena arena = { 0 };
	assert_int_equal(cox_yaml_each(&arena, cox_str_of(yaml), 1 << 20, on_doc, f, NULL), COX_OK);
	cox_arena_fini(&arena);
	cox_push_poke(f->push);
}

static void attach(struct fixture *f)
{
	struct cox_arena arena = { 0 };
	struct cox_json *json;
	struct cox_proxy *proxy;
	struct cox_str node =
	    COX_STR("{\"id\":\"sidecar~10.1.0.9~p.default~default.svc.cluster.local\",\"metadata\":{\"NAMESPACE\":\"default\"}}");
	assert_int_equal(cox_json_parse(&arena, node, &json, NULL), COX_OK);
	assert_int_equal(cox_proxy_build(json, &proxy, NULL), COX_OK);
	cox_arena_fini(&arena);
	f->client = cox_push_attach(
	    f->push, &(struct cox_push_client_spec){ .loop = f->loop, .proxy = proxy, .is_delta = true, .deliver = on_deliver, .arg = f });
	cox_proxy_unref(proxy);
	assert_true(cox_loop_run_until(f->loop, is_served, f, 10000));
}

/* The proxy goes; what it had is still held by the caller. */
static void leave(struct fixture *f)
{
	cox_push_detach(f->push, &f->client);
	assert_true(cox_loop_run_until(f->loop, is_alone, f, 10000));
}
static void forget(struct fixture *f)
{
	for (unsigned part = 0; part < COX_PUSH_PARTS; part++) {
		cox_wanted_unref(f->parts[part]);
		f->parts[part] = NULL;
	}
}

#define SERVICE(name)                                           \
	"apiVersion: v1\nkind: Service\nmetadata: {name: " name \
	", namespace: default}\nspec: {clusterIP: 10.96.0.1, ports: [{name: http, port: 80}]}\n"

static void begin(struct fixture *f)
{
	*f = (struct fixture){ .loop = cox_loop_new("unit") };
	f->registry = cox_registry_new(&(struct cox_registry_options){
	    .domain = COX_STR("cluster.local"), .cluster_id = COX_STR("Kubernetes"), .root_namespace = COX_STR("istio-system") });
	f->push = cox_push_new(&(struct cox_push_options){ .loop = f->loop, .registry = f->registry });
	cox_push_set_synced(f->push);
	put(f, SERVICE("s"));
	attach(f);
}
static void end(struct fixture *f)
{
	forget(f);
	cox_push_free(f->push);
	cox_registry_free(f->registry);
	cox_loop_free(&f->loop);
}

static struct cox_push_stats stats(const struct fixture *f)
{
	struct cox_push_stats s;
	cox_push_stats_get(f->push, &s);
	return s;
}

static void test_who_comes_back_costs_no_translation(void **state)
{
	struct fixture f;
	(void)state;
	begin(&f);
	const struct cox_wanted *scope = f.parts[0], *own = f.parts[1];
	leave(&f);
	assert_int_equal(f.push->idle.n, 2);
	assert_int_equal(stats(&f).views, 0);
	assert_int_equal(stats(&f).workloads, 0);
	cox_wanted_ref(scope), cox_wanted_ref(own); /* their addresses stay theirs */
	forget(&f);
	attach(&f);
	assert_ptr_equal(f.parts[0], scope);
	assert_ptr_equal(f.parts[1], own);
	assert_int_equal(f.push->idle.n, 0);
	assert_int_equal(stats(&f).views, 1);
	leave(&f);
	cox_wanted_unref(scope), cox_wanted_unref(own);
	end(&f);
}

static void test_nothing_is_made_for_nobody(void **state)
{
	struct fixture f;
	(void)state;
	begin(&f);
	leave(&f);
	put(&f, SERVICE("other"));
	assert_true(cox_loop_run_until(f.loop, has_generation, &f, 10000));
	assert_int_equal(f.push->idle.n, 0);
	assert_int_equal(f.push->units[COX_PUSH_SCOPE].n, 0);
	assert_int_equal(f.push->units[COX_PUSH_WORKLOAD].n, 0);
	forget(&f);
	attach(&f);
	assert_non_null(cox_set_find(f.parts[0]->sets[COX_TYPE_CDS], COX_STR("outbound|80||other.default.svc.cluster.local")));
	leave(&f);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_comes_back_costs_no_translation),
		cmocka_unit_test(test_nothing_is_made_for_nobody),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
