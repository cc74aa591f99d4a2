#include "stage_webhook.h"
#include "env.h"

#include "base/log.h"
#include "ca/csr.h"
#include "codec/yaml.h"
#include "model/core.h"
#include "webhook/registration.h"
#include "webhook/webhook.h"

#include <stdio.h>
#include <string.h>

struct webhook {
	struct cox_webhook *server; /* NULL until there is a certificate */
	struct cox_registration *registration;
	struct cox_webhook_events *events; /* with a kube-apiserver */
	struct cox_inject_config *config;
	struct cox_buf chain, key;             /* the certificate in force */
	struct cox_buf settings, values, mesh; /* texts of the ConfigMaps */
	bool is_stale;                         /* what the configuration is made of has changed */
	bool has_ids;                          /* some namespace brings user ids */
	uint64_t nodes_seen, namespaces_seen;  /* cox_registry_kind_changes() */
	char injector_name[128], mesh_name[128];
};

static struct cox_str env(enum env_id id) { return cox_str_of(env_given(id)); }

/* For templates of the injector's ConfigMap, as Istio's have it. */
static struct cox_str template_env(struct cox_str name)
{
	char buf[256];
	return cox_str_of(name.n < sizeof(buf) ? cox_env_get(cox_str_to_cstr(name, buf, sizeof(buf))) : NULL);
}

/* True, false, or what the nodes can do. */
static void set_native(struct daemon *d)
{
	struct cox_str said = env(ENV_ENABLE_NATIVE_SIDECARS);
	const struct cox_object *const *nodes;
	size_t n = cox_registry_objects(d->registry, COX_KIND_NODE, &nodes);
	bool is_auto = said.n == 0 || cox_str_eq_cstr(said, "auto");
	cox_webhook_set_native_sidecars(d->webhook->server,
	                                is_auto ? cox_inject_nodes_take_native_sidecars(nodes, n) : cox_str_eq_cstr(said, "true"));
}

/* --- the server ------------------------------------------------------------------------------------------------- */

static void open_server(struct daemon *d)
{
	struct webhook *w = d->webhook;
	struct cox_err err = { 0 };
	char text[320];
	uint16_t port;
	if (w->server || w->chain.n == 0)
		return;
	if (cox_webhook_open(&(struct cox_webhook_spec){ .addr = d->flags.https,
	                                                 .chain_pem = cox_buf_str(&w->chain),
	                                                 .key_pem = cox_buf_str(&w->key),
	                                                 .events = w->events,
	                                                 .no_injection = !env_bool(ENV_INJECT_ENABLED) },
	                     &w->server, &port, &err) != COX_OK) {
		cox_log(COX_LOG_ERROR, "webhook", "not listening: %s", err.text);
		return;
	}
	d->flags.https.port = port;
	cox_log(COX_LOG_INFO, "webhook", "listening over TLS addr=%s", cox_addr_format(&d->flags.https, text, sizeof(text)));
	set_native(d);
	if (w->config)
		cox_webhook_set_config(w->server, w->config);
	cox_webhook_set_snapshot(w->server, d->push ? cox_push_snapshot(d->push) : NULL);
	if (w->registration)
		cox_registration_set_ready(w->registration);
}

void webhook_on_certificate(struct daemon *d, const struct cox_serving_now *now)
{
	struct webhook *w = d->webhook;
	struct cox_err err = { 0 };
	if (!w)
		return;
	cox_wipe(&w->key);
	cox_buf_clear(&w->chain);
	cox_buf_append_str(&w->chain, now->chain_pem);
	cox_buf_append_str(&w->key, now->key_pem);
	if (!w->server)
		open_server(d);
	else if (cox_webhook_set_cert(w->server, now->chain_pem, now->key_pem, &err) != COX_OK)
		cox_log(COX_LOG_ERROR, "webhook", "the new certificate cannot be served with: %s", err.text);
}

void webhook_on_bundle(struct daemon *d, const struct cox_ca_bundle *b)
{
	struct cox_buf pem = { 0 };
	if (!d->webhook || !d->webhook->registration)
		return;
	for (size_t i = 0; i < b->root_n; i++)
		cox_buf_append_str(&pem, b->roots_pem[i]);
	cox_registration_set_bundle(d->webhook->registration, cox_buf_str(&pem));
	cox_buf_fini(&pem);
}

/* --- the injector's configuration ---------------------------------------------------------------------------------- */

static void configure(struct daemon *d)
{
	struct webhook *w = d->webhook;
	COX_AUTO(cox_arena_fini) struct cox_arena scratch = { 0 };
	struct cox_diags diags = { .arena = &scratch };
	struct cox_err err = { 0 };
	struct cox_inject_config *c = NULL;
	struct cox_inject_sources from = { .config = cox_buf_str(&w->settings),
		                           .values = cox_buf_str(&w->values),
		                           .mesh = cox_buf_str(&w->mesh),
		                           .revision = cox_str_of(d->flags.revision),
		                           .env = template_env };
	if (cox_str_eq_cstr(from.revision, "default"))
		from.revision = (struct cox_str){ 0 };
	from.proxy_config_n = cox_registry_objects(d->registry, COX_KIND_PROXY_CONFIG, &from.proxy_configs);
	if (w->has_ids)
		from.namespace_n = cox_registry_objects(d->registry, COX_KIND_NAMESPACE, &from.namespaces);
	enum cox_rc rc = cox_inject_config_build(&from, &diags, &c, &err);
	for (size_t i = 0; i < diags.n; i++)
		cox_log(COX_LOG_WARN, "webhook", "ConfigMap %s: %.*s: %.*s", w->injector_name, COX_FMT(diags.items[i].path),
		        COX_FMT(diags.items[i].text));
	if (rc != COX_OK) {
		char text[600];
		cox_log(COX_LOG_ERROR, "webhook", "the injector's configuration is left as it was: %s",
		        cox_err_describe(&err, text, sizeof(text)));
		return;
	}
	cox_inject_config_unref(w->config);
	w->config = c;
	if (w->server)
		cox_webhook_set_config(w->server, c);
}

static void take(struct cox_buf *to, const struct cox_config_map *map, const char *key)
{
	struct cox_str v = map ? cox_kv_get(map->data.p, map->data.n, cox_str_of(key)) : (struct cox_str){ 0 };
	cox_buf_clear(to);
	cox_buf_append_str(to, v);
}

bool webhook_on_object(struct daemon *d, enum cox_kind kind, struct cox_str ns, struct cox_str name, const struct cox_object *o)
{
	struct webhook *w = d->webhook;
	if (w && kind == COX_KIND_PROXY_CONFIG)
		w->is_stale = true; /* the registry has it by the time of the flush */
	if (!w || kind != COX_KIND_CONFIG_MAP || !cox_str_eq_cstr(ns, d->flags.ns))
		return false;
	const struct cox_config_map *map = o ? COX_SPEC(cox_config_map, o) : NULL;
	if (cox_str_eq_cstr(name, w->mesh_name)) {
		take(&w->mesh, map, "mesh");
		w->is_stale = true;
		return false; /* the registry reads it too */
	}
	if (!cox_str_eq_cstr(name, w->injector_name))
		return false;
	take(&w->settings, map, "config");
	take(&w->values, map, "values");
	w->is_stale = true;
	return true;
}

/* Nodes and namespaces matter little and change often: counted, and looked at once a batch. */
static void look_at_platform(struct daemon *d)
{
	struct webhook *w = d->webhook;
	uint64_t nodes = cox_registry_kind_changes(d->registry, COX_KIND_NODE),
	         namespaces = cox_registry_kind_changes(d->registry, COX_KIND_NAMESPACE);
	if (nodes != w->nodes_seen && w->server)
		set_native(d);
	w->nodes_seen = nodes;
	if (namespaces == w->namespaces_seen)
		return;
	w->namespaces_seen = namespaces;
	const struct cox_object *const *all;
	size_t n = cox_registry_objects(d->registry, COX_KIND_NAMESPACE, &all);
	bool has_ids = false;
	for (size_t i = 0; i < n && !has_ids; i++)
		has_ids = cox_inject_namespace_has_ids(all[i]);
	w->is_stale |= has_ids || w->has_ids;
	w->has_ids = has_ids;
}

void webhook_on_flush(struct daemon *d)
{
	struct webhook *w = d->webhook;
	if (!w)
		return;
	look_at_platform(d);
	if (!w->is_stale)
		return;
	w->is_stale = false;
	configure(d);
}

void webhook_on_generation(struct daemon *d, const struct cox_snapshot *s)
{
	if (d->webhook && d->webhook->server)
		cox_webhook_set_snapshot(d->webhook->server, s);
}

void webhook_on_source(struct daemon *d)
{
	struct webhook *w = d->webhook;
	if (w && d->kube_source &&
	    cox_kube_source_want(d->kube_source, COX_KIND_CONFIG_MAP, cox_str_of(d->flags.ns), cox_str_of(w->injector_name)) != COX_OK)
		cox_log(COX_LOG_ERROR, "webhook", "ConfigMap %s cannot be watched", w->injector_name);
}

/* --- the stage ------------------------------------------------------------------------------------------------------- */

enum cox_rc start_webhook(struct daemon *d, struct cox_err *err)
{
	(void)err;
	if (!d->flags.has_https)
		return COX_OK;
	struct webhook *w = d->webhook = COX_NEW(struct webhook);
	bool is_default = !d->flags.revision[0] || strcmp(d->flags.revision, "default") == 0;
	struct cox_str named = env(ENV_INJECTION_WEBHOOK_CONFIG_MAP);
	if (named.n)
		snprintf(w->injector_name, sizeof(w->injector_name), "%.*s", COX_FMT(named));
	else
		snprintf(w->injector_name, sizeof(w->injector_name), "istio-sidecar-injector%s%s", is_default ? "" : "-",
		         is_default ? "" : d->flags.revision);
	snprintf(w->mesh_name, sizeof(w->mesh_name), "istio%s%s", is_default ? "" : "-", is_default ? "" : d->flags.revision);
	cox_buf_append_str(&w->mesh, cox_buf_str(&d->mesh_yaml));
	configure(d);
	if (d->kube)
		w->events = cox_webhook_events_open(d->kube);
	if (d->kube)
		w->registration = cox_registration_open(&(struct cox_registration_spec){
		    .kube = d->kube,
		    .no_injection = env_is_emptied(ENV_INJECTION_WEBHOOK_CONFIG_NAME) || !env_bool(ENV_INJECT_ENABLED),
		    .no_validation = env_is_emptied(ENV_VALIDATION_WEBHOOK_CONFIG_NAME),
		    .revision = is_default ? (struct cox_str){ 0 } : cox_str_of(d->flags.revision),
		    .ns = cox_str_of(d->flags.ns) });
	return COX_OK;
}

void stop_webhook(struct daemon *d)
{
	struct webhook *w = d->webhook;
	if (!w)
		return;
	cox_registration_close(&w->registration);
	cox_webhook_close(&w->server);
	cox_webhook_events_close(&w->events);
	cox_inject_config_unref(w->config);
	cox_wipe(&w->key);
	cox_buf_fini(&w->key);
	cox_buf_fini(&w->chain);
	cox_buf_fini(&w->settings);
	cox_buf_fini(&w->values);
	cox_buf_fini(&w->mesh);
	cox_free(w);
	d->webhook = NULL;
}

struct cox_json *webhook_dump(struct daemon *d, struct cox_arena *arena)
{
	const struct webhook *w = d->webhook;
	struct cox_json *all, *config = NULL;
	struct cox_str name, text;
	if (!w)
		return NULL;
	all = cox_json_new_object(arena);
	for (size_t i = 0; cox_inject_native_template(i, &name, &text); i++)
		cox_json_set(arena, all, name, cox_json_new_str(arena, text));
	text = cox_arena_str(arena, cox_buf_str(&w->settings));
	if (cox_yaml_one(arena, text, COX_JSON_BYTES_MAX, &config, NULL, NULL) != COX_OK)
		return all;
	const struct cox_json *own = cox_json_get(config, COX_STR("templates"));
	for (size_t i = 0; own && own->type == COX_JSON_OBJECT && i < own->n; i++)
		if (own->members[i].value.type == COX_JSON_STRING)
			cox_json_set(arena, all, own->members[i].key, &own->members[i].value);
	return all;
}
