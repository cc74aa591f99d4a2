#include "translate/translate.h"

#include <stdlib.h>

/* Appends `name=value;` with the value's length in front, so that no two different views share a key. */
static void key_add(struct cox_buf *key, const char *name, struct cox_str value)
{
	if (value.n == 0)
		return;
	cox_buf_printf(key, "%s=%zu:", name, value.n);
	cox_buf_append_str(key, value);
	cox_buf_append_char(key, ';');
}

static void key_add_num(struct cox_buf *key, const char *name, int64_t value)
{
	if (value != 0)
		cox_buf_printf(key, "%s=%lld;", name, (long long)value);
}

static void key_add_kvs(struct cox_buf *key, const char *name, const struct cox_kv *kvs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		key_add(key, name, kvs[i].key);
		cox_buf_printf(key, "%zu:", kvs[i].value.n);
		cox_buf_append_str(key, kvs[i].value);
		cox_buf_append_char(key, ';');
	}
}

static void key_add_strs(struct cox_buf *key, const char *name, const struct cox_str *strs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		key_add(key, name, strs[i]);
}

static void copy_kvs(struct cox_arena *a, const struct cox_kv *kvs, size_t n, const struct cox_kv **out)
{
	struct cox_kv *copy = COX_ARENA_ARRAY(a, struct cox_kv, n + 1);
	for (size_t i = 0; i < n; i++)
		copy[i] = (struct cox_kv){ cox_arena_str(a, kvs[i].key), cox_arena_str(a, kvs[i].value) };
	*out = copy;
}

static void copy_strs(struct cox_arena *a, const struct cox_str *strs, size_t n, const struct cox_str **out)
{
	struct cox_str *copy = COX_ARENA_ARRAY(a, struct cox_str, n + 1);
	for (size_t i = 0; i < n; i++)
		copy[i] = cox_arena_str(a, strs[i]);
	*out = copy;
}

/* Labels that some selector looks at; both lists are sorted by key. */
static void view_labels(struct cox_view *v, const struct cox_proxy *p, const struct cox_snapshot *s)
{
	const struct cox_str *keys = NULL;
	size_t key_n = cox_snapshot_selector_keys(s, &keys);
	struct cox_kv *kept = COX_ARENA_ARRAY(&v->arena, struct cox_kv, p->labels.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < p->labels.n; i++)
		for (size_t k = 0; k < key_n; k++)
			if (cox_str_eq(p->labels.p[i].key, keys[k])) {
				kept[n].key = cox_arena_str(&v->arena, p->labels.p[i].key);
				kept[n++].value = cox_arena_str(&v->arena, p->labels.p[i].value);
				break;
			}
	v->labels.p = kept;
	v->labels.n = n;
}

/* Node metadata that some EnvoyFilter looks at: Istio compares texts only. */
static void view_metadata(struct cox_view *v, const struct cox_proxy *p, const struct cox_snapshot *s)
{
	const struct cox_str *keys = NULL;
	size_t key_n = cox_snapshot_metadata_keys(s, &keys), n = 0;
	struct cox_kv *kept = COX_ARENA_ARRAY(&v->arena, struct cox_kv, key_n + 1);

	for (size_t i = 0; i < key_n; i++) {
		const struct cox_json *value = cox_json_get(p->metadata, keys[i]);
		if (value != NULL && value->type == COX_JSON_STRING) {
			kept[n].key = cox_arena_str(&v->arena, keys[i]);
			kept[n++].value = cox_arena_str(&v->arena, value->text);
		}
	}
	v->metadata.p = kept;
	v->metadata.n = n;
}

static struct cox_str view_locality(struct cox_view *v, const struct cox_proxy *p, const struct cox_snapshot *s)
{
	if (p->region.n == 0 && p->zone.n == 0)
		return cox_arena_str(&v->arena, cox_snapshot_node_locality(s, p->node_name));
	if (p->sub_zone.n > 0)
		return cox_arena_printf(&v->arena, "%.*s/%.*s/%.*s", COX_FMT(p->region), COX_FMT(p->zone), COX_FMT(p->sub_zone));
	return p->zone.n > 0 ? cox_arena_printf(&v->arena, "%.*s/%.*s", COX_FMT(p->region), COX_FMT(p->zone))
	                     : cox_arena_str(&v->arena, p->region);
}

/* A proxy that is an endpoint of a headless service does not get a listener on its own address, so its addresses count. */
static void view_own_ips(struct cox_view *v, const struct cox_proxy *p, const struct cox_snapshot *s)
{
	struct cox_arena scratch = { 0 };
	const struct cox_snap_svc **own = NULL;
	size_t n = cox_snapshot_svcs_at(s, p->ips.p, p->ips.n, &scratch, &own);

	for (size_t i = 0; i < n; i++)
		if (own[i]->svc->is_headless) {
			copy_strs(&v->arena, p->ips.p, p->ips.n, &v->own_ips.p);
			v->own_ips.n = p->ips.n;
			break;
		}
	cox_arena_fini(&scratch);
}

static enum cox_ip_family family_of(const struct cox_proxy *p)
{
	bool has_v4 = false, has_v6 = false;
	for (COX_EACH(struct cox_str, ip, p->ips)) {
		bool is_v6 = cox_str_find(*ip, ':') >= 0;
		has_v6 |= is_v6;
		has_v4 |= !is_v6;
	}
	return has_v4 && has_v6 ? COX_IP_DUAL : has_v6 ? COX_IP_V6 : COX_IP_V4;
}

struct cox_str cox_view_any_address(const struct cox_view *v) { return v->family == COX_IP_V6 ? COX_STR("::") : COX_STR("0.0.0.0"); }
struct cox_str cox_view_loopback(const struct cox_view *v) { return v->family == COX_IP_V6 ? COX_STR("::1") : COX_STR("127.0.0.1"); }

struct cox_str cox_view_address(const struct cox_view *v, const struct cox_svc *svc, struct cox_str address, struct cox_arena *arena)
{
	return svc->addresses_are_auto && v->family == COX_IP_V6 ? cox_auto_address_v6(address, arena) : address;
}

/* The members of ProxyConfig that listeners, routes or clusters depend on; the others are the agent's. */
static bool is_ours(const struct cox_proxy *p, struct cox_str key)
{
	static const char *const members[] = { "tracing", "proxyHeaders", "connectionSettings" };
	if (p->type == COX_PROXY_ROUTER && cox_str_eq(key, COX_STR("gatewayTopology")))
		return true;
	for (size_t i = 0; i < COX_LEN(members); i++)
		if (cox_str_eq_cstr(key, members[i]))
			return true;
	return false;
}

static struct cox_json *our_members(const struct cox_json *config, const struct cox_proxy *p, struct cox_arena *a)
{
	struct cox_json *out = cox_json_new_object(a);
	for (size_t i = 0; config && config->type == COX_JSON_OBJECT && i < config->n; i++)
		if (is_ours(p, config->members[i].key))
			cox_json_set(a, out, config->members[i].key, &config->members[i].value);
	return out;
}

static struct cox_str text_of(const struct cox_json *v, struct cox_arena *a)
{
	struct cox_buf b COX_AUTO(cox_buf_fini) = { 0 };
	cox_json_write(&b, v, 0, true);
	return cox_arena_str(a, cox_buf_str(&b));
}

/* Injection writes the mesh's settings of its time into each pod, so most proxies say what the mesh says: they share its view. */
static void view_config(struct cox_view *v, const struct cox_proxy *p, const struct cox_snapshot *s)
{
	struct cox_arena scratch = { 0 };
	struct cox_json *own = our_members(cox_json_get(p->metadata, COX_STR("PROXY_CONFIG")), p, &scratch), *all = NULL;
	if (own->n > 0 && cox_json_parse(&scratch, s->mesh->default_config->raw, &all, NULL) == COX_OK) {
		struct cox_json *mesh = our_members(all, p, &scratch);
		struct cox_str before = text_of(mesh, &scratch);
		cox_proxy_config_merge(mesh, own, &scratch);
		struct cox_str after = text_of(mesh, &scratch);
		if (!cox_str_eq(before, after)) {
			struct cox_diags diags = { .arena = &scratch };
			v->config_text = cox_arena_str(&v->arena, after);
			v->config = cox_proxy_config_decode(mesh, "PROXY_CONFIG", &v->arena, &diags);
		}
	}
	cox_arena_fini(&scratch);
}

static void view_key(struct cox_view *v)
{
	struct cox_buf key = { 0 };
	cox_buf_printf(&key, "t%dc%di%df%d%s%s%s%s%s%s%s%s;", (int)v->type, (int)v->klass, (int)v->interception, (int)v->family,
	               v->has_vhds ? "v" : "", v->has_sds ? "s" : "", v->http10 ? "h" : "", v->dns_capture ? "d" : "",
	               v->has_access_log_service ? "a" : "", v->balances_inbound ? "I" : "", v->balances_outbound ? "O" : "",
	               v->is_unprivileged ? "u" : "");
	key_add(&key, "ns", v->ns);
	key_add(&key, "domain", v->domain);
	key_add_kvs(&key, "l", v->labels.p, v->labels.n);
	key_add(&key, "cluster", v->cluster_id);
	key_add(&key, "network", v->network);
	key_add(&key, "locality", v->locality);
	key_add(&key, "node", v->node_name);
	key_add(&key, "cname", v->canonical_name);
	key_add(&key, "crev", v->canonical_revision);
	key_add(&key, "mesh", v->mesh_id);
	if (v->idle_timeout_ns.set)
		cox_buf_printf(&key, "idle=%lld;", (long long)v->idle_timeout_ns.v);
	key_add_num(&key, "httpproxy", v->http_proxy_port);
	key_add(&key, "config", v->config_text);
	key_add(&key, "version", v->version);
	key_add_kvs(&key, "m", v->metadata.p, v->metadata.n);
	key_add_strs(&key, "own", v->own_ips.p, v->own_ips.n);
	v->key = cox_arena_str(&v->arena, cox_buf_str(&key));
	cox_buf_fini(&key);
}

static void view_init(struct cox_view *v, const struct cox_proxy *p, const struct cox_snapshot *s)
{
	struct cox_arena *a = &v->arena;
	v->type = p->type;
	v->klass = p->klass;
	v->has_vhds = p->has_vhds;
	v->has_sds = p->has_sds;
	v->http10 = p->http10 || s->features.http10;
	v->balances_inbound = p->balances_inbound;
	v->balances_outbound = p->balances_outbound;
	v->is_unprivileged = p->is_unprivileged;
	v->has_access_log_service = p->has_access_log_service && s->mesh->enable_envoy_access_log_service;
	v->dns_capture = p->dns_capture;
	v->interception = p->interception;
	v->family = family_of(p);
	v->ns = cox_arena_str(a, p->ns);
	v->domain = cox_arena_str(a, p->dns_domain);
	view_labels(v, p, s);
	v->cluster_id = cox_arena_str(a, p->cluster_id.n > 0 ? p->cluster_id : s->cluster_id);
	v->network = cox_arena_str(a, p->network);
	if (s->uses_locality)
		v->locality = view_locality(v, p, s);
	if (s->uses_node)
		v->node_name = cox_arena_str(a, p->node_name);
	if (p->klass == COX_CLASS_ISTIO) {
		v->canonical_name = cox_arena_str(a, p->canonical_name);
		v->canonical_revision = cox_arena_str(a, p->canonical_revision);
		v->mesh_id = cox_arena_str(a, p->mesh_id);
	}
	v->idle_timeout_ns = p->idle_timeout_ns;
	v->http_proxy_port = p->http_proxy_port;
	view_config(v, p, s);
	if (s->uses_version)
		v->version = cox_arena_str(a, p->version);
	view_metadata(v, p, s);
	view_own_ips(v, p, s);
	view_key(v);
}

struct cox_view *cox_view_build(const struct cox_proxy *p, const struct cox_snapshot *s)
{
	struct cox_view *v = COX_NEW(struct cox_view);
	view_init(v, p, s);
	return v;
}

void cox_view_free(struct cox_view *v)
{
	if (v == NULL)
		return;
	cox_arena_fini(&v->arena);
	cox_free(v);
}

static void workload_key(struct cox_workload *w)
{
	struct cox_buf key = { 0 };
	key_add(&key, "view", w->view.key);
	key_add_strs(&key, "ip", w->ips.p, w->ips.n);
	key_add_kvs(&key, "l", w->labels.p, w->labels.n);
	key_add(&key, "sa", w->service_account);
	key_add(&key, "cname", w->canonical_name);
	key_add(&key, "crev", w->canonical_revision);
	key_add(&key, "mesh", w->mesh_id);
	key_add(&key, "name", w->name);
	key_add(&key, "workload", w->workload);
	if (w->secrets.is_verified) {
		cox_buf_append_cstr(&key, "verified;");
		key_add(&key, "vns", w->secrets.ns);
		key_add(&key, "vsa", w->secrets.service_account);
	}
	w->key = cox_arena_str(&w->arena, cox_buf_str(&key));
	cox_buf_fini(&key);
}

struct cox_workload *cox_workload_build(const struct cox_proxy *p, const struct cox_snapshot *s)
{
	struct cox_workload *w = COX_NEW(struct cox_workload);
	struct cox_arena *a = &w->arena;

	view_init(&w->view, p, s);
	copy_strs(a, p->ips.p, p->ips.n, &w->ips.p);
	w->ips.n = p->ips.n;
	copy_kvs(a, p->labels.p, p->labels.n, &w->labels.p);
	w->labels.n = p->labels.n;
	w->service_account = cox_arena_str(a, p->service_account);
	w->canonical_name = cox_arena_str(a, p->canonical_name);
	w->canonical_revision = cox_arena_str(a, p->canonical_revision);
	w->mesh_id = cox_arena_str(a, p->mesh_id);
	w->name = cox_arena_str(a, p->name);
	w->workload = cox_arena_str(a, p->workload);
	workload_key(w);
	return w;
}

void cox_workload_set_access(struct cox_workload *w, const struct cox_secret_access *access)
{
	w->secrets = *access;
	w->secrets.ns = cox_arena_str(&w->arena, access->ns);
	w->secrets.service_account = cox_arena_str(&w->arena, access->service_account);
	workload_key(w);
}

void cox_workload_free(struct cox_workload *w)
{
	if (w == NULL)
		return;
	cox_arena_fini(&w->view.arena);
	cox_arena_fini(&w->arena);
	cox_free(w);
}
