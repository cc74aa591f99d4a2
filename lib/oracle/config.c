/* config.c - resources by name, out of what was rendered or dumped; readers with protobuf's defaults. */
#include "oracle/oracle_priv.h"

#include <arpa/inet.h>

/* --- readers -------------------------------------------------------------------------------------- */

const struct cox_json *oracle_get(const struct cox_json *v, const char *member) { return cox_json_get(v, cox_str_of(member)); }

bool oracle_has(const struct cox_json *v, const char *member) { return oracle_get(v, member) != NULL; }

bool oracle_bool(const struct cox_json *v, const char *at, bool otherwise)
{
	const struct cox_json *b = cox_json_at(v, at);
	return b && b->type == COX_JSON_BOOL ? b->boolean : otherwise;
}

/* Protobuf's JSON writes 64-bit integers as text. */
int64_t oracle_int(const struct cox_json *v, const char *at, int64_t otherwise)
{
	const struct cox_json *n = cox_json_at(v, at);
	int64_t i;
	if (n && n->type == COX_JSON_STRING)
		return cox_str_to_i64(n->text, &i) == COX_OK ? i : otherwise;
	return n && n->type == COX_JSON_NUMBER && cox_json_to_i64(n, &i) == COX_OK ? i : otherwise;
}

struct cox_str oracle_lower(struct cox_arena *a, struct cox_str s)
{
	char *p = cox_arena_alloc(a, s.n + 1);
	for (size_t i = 0; i < s.n; i++)
		p[i] = s.p[i] >= 'A' && s.p[i] <= 'Z' ? (char)(s.p[i] | 0x20) : s.p[i];
	return cox_str_make(p, s.n);
}

bool oracle_is_type(const struct cox_json *typed, const char *short_name)
{
	struct cox_str type = cox_json_str_at(typed, "@type");
	ptrdiff_t dot = cox_str_rfind(type, '.');
	return cox_str_eq_cstr(cox_str_sub(type, (size_t)(dot + 1), SIZE_MAX), short_name);
}

bool oracle_ip(struct cox_str text, unsigned char out[16], bool *is_v6)
{
	char buf[64];
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
	if (text.n == 0 || text.n >= sizeof(buf))
		return false;
	cox_str_to_cstr(text, buf, sizeof(buf));
	*is_v6 = inet_pton(AF_INET6, buf, out) == 1;
	if (*is_v6)
		return true;
	memcpy(out, mapped, sizeof(mapped));
	return inet_pton(AF_INET, buf, out + 12) == 1;
}

/* --- loading ---------------------------------------------------------------------------------------- */

static void put(struct cox_map *m, struct cox_str name, const struct cox_json *resource)
{
	if (resource)
		cox_map_set(m, name, (void *)(uintptr_t)resource);
}

static void listener_put(struct cox_oracle *o, struct cox_str name, const struct cox_json *l)
{
	if (l == NULL || cox_map_find(&o->listeners, name))
		return;
	put(&o->listeners, name, l);
	cox_vec_push(&o->listener_list, l);
}

static void vhost_put(struct cox_oracle *o, struct cox_str name, const struct cox_json *vhost)
{
	if (vhost == NULL)
		return;
	put(&o->vhosts, name, vhost);
	cox_vec_push(&o->vhost_names, name);
}

void cox_oracle_add_rendered(struct cox_oracle *o, const struct cox_json *rendered)
{
	const struct {
		const char *section;
		struct cox_map *into;
	} maps[] = { { "CDS", &o->clusters }, { "EDS", &o->endpoints }, { "RDS", &o->routes } };
	const struct cox_json *s;
	for (size_t i = 0; i < COX_LEN(maps); i++)
		for (size_t k = 0; (s = oracle_get(rendered, maps[i].section)) && k < s->n; k++)
			put(maps[i].into, s->members[k].key, &s->members[k].value);
	for (size_t k = 0; (s = oracle_get(rendered, "LDS")) && k < s->n; k++)
		listener_put(o, s->members[k].key, &s->members[k].value);
	for (size_t k = 0; (s = oracle_get(rendered, "VHDS")) && k < s->n; k++)
		vhost_put(o, s->members[k].key, &s->members[k].value);
}

/* Envoy wraps each resource with its version; static ones the same way. */
static void dump_section(struct cox_oracle *o, const struct cox_json *section)
{
	static const struct {
		const char *list, *member, *name;
	} lists[] = {
		{ "dynamic_active_clusters", "cluster", "name" },
		{ "dynamic_warming_clusters", "cluster", "name" },
		{ "static_clusters", "cluster", "name" },
		{ "dynamic_endpoint_configs", "endpoint_config", "cluster_name" },
		{ "static_endpoint_configs", "endpoint_config", "cluster_name" },
		{ "dynamic_listeners", "active_state.listener", "name" },
		{ "static_listeners", "listener", "name" },
		{ "dynamic_route_configs", "route_config", "name" },
		{ "static_route_configs", "route_config", "name" },
		{ "dynamic_virtual_hosts", "virtual_host", "name" },
	};
	for (size_t i = 0; i < COX_LEN(lists); i++)
		for (ORACLE_EACH(item, oracle_get(section, lists[i].list))) {
			const struct cox_json *r = cox_json_at(item, lists[i].member);
			struct cox_str name = cox_json_str_at(r, lists[i].name);
			if (i < 3)
				put(&o->clusters, name, cox_map_find(&o->clusters, name) ? NULL : r);
			else if (i < 5)
				put(&o->endpoints, name, r);
			else if (i < 7)
				listener_put(o, name, r);
			else if (i < 9)
				put(&o->routes, name, r);
			else
				vhost_put(o, name, r);
		}
}

enum cox_rc cox_oracle_add_dump(struct cox_oracle *o, const struct cox_json *dump, struct cox_err *err)
{
	const struct cox_json *configs = oracle_get(dump, "configs");
	if (configs == NULL || configs->type != COX_JSON_ARRAY)
		return cox_err_set(err, COX_EINVAL, "configs", "is missing: this is no config dump of Envoy or coxswaind");
	for (ORACLE_EACH(section, configs))
		dump_section(o, section);
	return COX_OK;
}

void cox_oracle_fini(struct cox_oracle *o)
{
	cox_map_fini(&o->listeners);
	cox_map_fini(&o->clusters);
	cox_map_fini(&o->endpoints);
	cox_map_fini(&o->routes);
	cox_map_fini(&o->vhosts);
	cox_map_fini(&o->regexes);
	cox_vec_fini(&o->listener_list);
	cox_vec_fini(&o->vhost_names);
	cox_arena_fini(&o->arena);
	*o = (struct cox_oracle){ 0 };
}

const struct cox_json *cox_oracle_cluster_find(const struct cox_oracle *o, struct cox_str name) { return cox_map_find(&o->clusters, name); }

const struct cox_json *cox_oracle_assignment_find(const struct cox_oracle *o, const struct cox_json *cluster)
{
	struct cox_str service = cox_json_str_at(cluster, "eds_cluster_config.service_name");
	if (!cox_str_eq_cstr(cox_json_str_at(cluster, "type"), "EDS"))
		return oracle_get(cluster, "load_assignment");
	return cox_map_find(&o->endpoints, service.n > 0 ? service : cox_json_str_at(cluster, "name"));
}
