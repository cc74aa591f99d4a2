/* The spec of an EnvoyFilter, as JSON, applied to what a small mesh makes for a sidecar and for a router. Whatever it says: what comes out
 * is a message of its type, the same each time, and the same from the memo. */
#include "codec/yaml.h"
#include "envoy/transcode.h"
#include "registry/registry.h"
#include "translate/translate.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char mesh[] =
    "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: default}\n"
    "spec: {clusterIP: 10.1.0.1, clusterIPs: [10.1.0.1], selector: {app: web}, ports: [{name: http, port: 80}, {name: tcp, port: 90}]}\n---\n"
    "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: front, namespace: default}\n"
    "spec: {selector: {app: web}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [\"*\"]}]}\n---\n"
    "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: web, namespace: default}\n"
    "spec: {hosts: [web, a.example], gateways: [front, mesh], http: [{name: main, route: [{destination: {host: web}}]}]}\n";

static void on_doc(void *arg, struct cox_json *root, struct cox_str text, const struct cox_err *err)
{
	struct cox_arena arena = { 0 };
	struct cox_diags diags = { .arena = &arena };
	const struct cox_object *o = NULL;
	(void)text, (void)err;
	if (root && cox_object_build(root, COX_STR("f"), COX_STR("default"), &arena, &diags, &o) == COX_OK)
		cox_registry_put(arg, o);
	cox_object_unref(o);
	cox_arena_fini(&arena);
}

static struct cox_proxy *proxy(const char *type)
{
	static const char metadata[] = "{\"NAMESPACE\":\"default\",\"ISTIO_VERSION\":\"1.27.1\",\"LABELS\":{\"app\":\"web\"}}";
	struct cox_arena arena = { 0 };
	struct cox_json *v;
	struct cox_proxy *p;
	struct cox_str node =
	    cox_arena_printf(&arena, "{\"id\":\"%s~10.0.0.1~web.default~default.svc.cluster.local\",\"metadata\":%s}", type, metadata);
	if (cox_json_parse(&arena, node, &v, NULL) != COX_OK || cox_proxy_build(v, &p, NULL) != COX_OK)
		abort();
	cox_arena_fini(&arena);
	return p;
}

static void check_one(const struct cox_resource *r, struct cox_arena *arena)
{
	struct cox_buf flat = { 0 };
	struct cox_json *v;
	cox_resource_flatten(r, &flat);
	if (cox_envoy_any_to_json(cox_type_url(r->type), cox_buf_str(&flat), 0, arena, &v, NULL) != COX_OK || r->name.n == 0)
		abort();
	cox_buf_fini(&flat);
}

static void check_proxy(const struct cox_snapshot *s, const char *type)
{
	struct cox_arena arena = { 0 };
	struct cox_proxy *p = proxy(type);
	struct cox_memo *memos[] = { cox_memo_new(), cox_memo_new() };
	struct cox_rendered r[3];
	cox_translate_proxy(s, p, memos[0], &r[0]);
	cox_translate_proxy(s, p, memos[0], &r[1]); /* from the memo */
	cox_translate_proxy(s, p, memos[1], &r[2]); /* and anew */
	for (int t = 0; t < COX_TYPE_COUNT; t++) {
		for (size_t i = 0; i < r[0].sets[t]->n; i++)
			check_one(r[0].sets[t]->items[i], &arena);
		if (!cox_hash_eq(r[0].sets[t]->hash, r[1].sets[t]->hash) || !cox_hash_eq(r[0].sets[t]->hash, r[2].sets[t]->hash))
			abort();
	}
	for (size_t i = 0; i < COX_LEN(r); i++)
		cox_rendered_fini(&r[i]);
	cox_memo_free(memos[0]);
	cox_memo_free(memos[1]);
	cox_proxy_unref(p);
	cox_arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cox_arena arena = { 0 };
	struct cox_json *spec, *doc, *meta;
	if (cox_json_parse(&arena, cox_str_make(data, size), &spec, NULL) == COX_OK && spec->type == COX_JSON_OBJECT) {
		struct cox_registry *registry = cox_registry_new(&(struct cox_registry_options){
		    .domain = COX_STR("cluster.local"), .cluster_id = COX_STR("Kubernetes"), .root_namespace = COX_STR("istio-system") });
		if (cox_yaml_each(&arena, cox_str_of(mesh), 1 << 20, on_doc, registry, NULL) != COX_OK)
			abort();
		doc = cox_json_new_object(&arena);
		meta = cox_json_new_object(&arena);
		cox_json_set(&arena, meta, COX_STR("name"), cox_json_new_str(&arena, COX_STR("f")));
		cox_json_set(&arena, doc, COX_STR("apiVersion"), cox_json_new_str(&arena, COX_STR("networking.istio.io/v1alpha3")));
		cox_json_set(&arena, doc, COX_STR("kind"), cox_json_new_str(&arena, COX_STR("EnvoyFilter")));
		cox_json_set(&arena, doc, COX_STR("metadata"), meta);
		cox_json_set(&arena, doc, COX_STR("spec"), spec);
		on_doc(registry, doc, (struct cox_str){ 0 }, NULL);
		struct cox_registry_changes changes = { 0 };
		cox_registry_take_changes(registry, &changes);
		cox_registry_changes_fini(&changes);
		struct cox_snapshot *s = cox_snapshot_build(registry, NULL);
		if (s->envoy_filters.n) {
			check_proxy(s, "sidecar");
			check_proxy(s, "router");
		}
		cox_snapshot_unref(s);
		cox_registry_free(registry);
	}
	cox_arena_fini(&arena);
	return 0;
}
