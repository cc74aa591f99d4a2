/* What a proxy was sent, in the form of Envoy's own config_dump: as JSON, part by part, and as protobuf for istioctl. */
#include "admin/admin_priv.h"

#include "envoy/admin_v3.h"
#include "envoy/envoy.h"
#include "envoy/google_protobuf.h"
#include "envoy/route_v3.h"
#include "envoy/transcode.h"
#include "translate/secret.h"

#define TYPE_PREFIX "type.googleapis.com/envoy.admin.v3."

/* One section of envoy.admin.v3.ConfigDump; the numbers are those of the fields whose names stand before them; 0: there is no such field.
 */
struct section {
	enum cox_type type; /* COX_TYPE_COUNT: nothing is in it */
	const char *dump, *list, *state, *member;
	uint32_t list_no, state_no, member_no, version_no, item_name_no, section_version_no;
};
#define NO(field) PB_admin_v3_##field##__NUM
static const struct section sections[] = {
	{ .type = COX_TYPE_COUNT, .dump = TYPE_PREFIX "BootstrapConfigDump" },
	{ COX_TYPE_CDS, TYPE_PREFIX "ClustersConfigDump", "dynamic_active_clusters", NULL, "cluster",
	  NO(ClustersConfigDump_dynamic_active_clusters), 0, NO(ClustersConfigDump_DynamicCluster_cluster),
	  NO(ClustersConfigDump_DynamicCluster_version_info), 0, NO(ClustersConfigDump_version_info) },
	{ COX_TYPE_EDS, TYPE_PREFIX "EndpointsConfigDump", "dynamic_endpoint_configs", NULL, "endpoint_config",
	  NO(EndpointsConfigDump_dynamic_endpoint_configs), 0, NO(EndpointsConfigDump_DynamicEndpointConfig_endpoint_config),
	  NO(EndpointsConfigDump_DynamicEndpointConfig_version_info), 0, 0 },
	{ COX_TYPE_LDS, TYPE_PREFIX "ListenersConfigDump", "dynamic_listeners", "active_state", "listener",
	  NO(ListenersConfigDump_dynamic_listeners), NO(ListenersConfigDump_DynamicListener_active_state),
	  NO(ListenersConfigDump_DynamicListenerState_listener), NO(ListenersConfigDump_DynamicListenerState_version_info),
	  NO(ListenersConfigDump_DynamicListener_name), NO(ListenersConfigDump_version_info) },
	{ .type = COX_TYPE_COUNT, .dump = TYPE_PREFIX "ScopedRoutesConfigDump" },
	{ COX_TYPE_RDS, TYPE_PREFIX "RoutesConfigDump", "dynamic_route_configs", NULL, "route_config",
	  NO(RoutesConfigDump_dynamic_route_configs), 0, NO(RoutesConfigDump_DynamicRouteConfig_route_config),
	  NO(RoutesConfigDump_DynamicRouteConfig_version_info), 0, 0 },
	/* Envoy has no such message: only where it is asked how things were sent. */
	{ COX_TYPE_VHDS, TYPE_PREFIX "VirtualHostsConfigDump", "dynamic_virtual_hosts", NULL, "virtual_host", 0, 0, 0, 0, 0, 0 },
	{ COX_TYPE_SDS, TYPE_PREFIX "SecretsConfigDump", "dynamic_active_secrets", NULL, "secret",
	  NO(SecretsConfigDump_dynamic_active_secrets), 0, NO(SecretsConfigDump_DynamicSecret_secret),
	  NO(SecretsConfigDump_DynamicSecret_version_info), NO(SecretsConfigDump_DynamicSecret_name), 0 },
	{ COX_TYPE_ECDS, TYPE_PREFIX "EcdsConfigDump", "ecds_filters", NULL, "ecds_filter", NO(EcdsConfigDump_ecds_filters), 0,
	  NO(EcdsConfigDump_EcdsFilterConfig_ecds_filter), NO(EcdsConfigDump_EcdsFilterConfig_version_info), 0, 0 },
};

static size_t sent_count(const struct cox_xds_stream_info *info, enum cox_type type)
{
	size_t n = 0;
	for (unsigned p = 0; p < COX_PUSH_PARTS && type < COX_TYPE_COUNT; p++)
		n += info->sent[type][p] ? info->sent[type][p]->n : 0;
	return n;
}

/* The nth of both parts; of a name that both have the workload's counts, and the other is passed over. */
static const struct cox_resource *sent_at(const struct cox_xds_stream_info *info, enum cox_type type, size_t n)
{
	const struct cox_set *first = info->sent[type][COX_PUSH_SCOPE], *second = info->sent[type][COX_PUSH_WORKLOAD];
	if (first && n < first->n)
		return second && cox_set_find(second, first->items[n]->name) ? NULL : first->items[n];
	return second->items[n - (first ? first->n : 0)];
}

/* --- JSON ---------------------------------------------------------------------------------------------------------------- */

struct dump {
	struct cox_xds_stream_info info;
	size_t section, at;
	bool is_open;               /* the section */
	bool as_sent;               /* virtual hosts apart from their route configurations */
	bool types[COX_TYPE_COUNT]; /* shown */
	bool is_begun;
};

static void dump_end(struct answer *w) { cox_xds_stream_info_fini(&((struct dump *)w->state)->info); }

/* Envoy shows a route configuration with the virtual hosts that came apart from it: they are resources "<route configuration>/<host>". */
static void append_whole(const struct cox_xds_stream_info *info, const struct cox_resource *r, struct cox_buf *out)
{
	struct cox_pb pb;
	cox_resource_flatten(r, out);
	if (r->type != COX_TYPE_RDS)
		return;
	cox_pb_init(&pb, out);
	struct cox_pb_at route = cox_pb_root(&pb);
	struct cox_buf host = { 0 };
	for (size_t i = 0; i < sent_count(info, COX_TYPE_VHDS); i++) {
		const struct cox_resource *v = sent_at(info, COX_TYPE_VHDS, i);
		if (!v || !cox_str_has_prefix(v->name, r->name) || v->name.n <= r->name.n || v->name.p[r->name.n] != '/')
			continue;
		cox_buf_clear(&host);
		cox_resource_flatten(v, &host);
		cox_pb_put_bytes(route, PB_route_v3_RouteConfiguration_virtual_hosts__NUM, cox_buf_str(&host));
	}
	cox_pb_end(route);
	cox_buf_fini(&host);
}

/* NULL, with text in `err`: it is not understood. `info` NULL: as it was sent. */
static struct cox_json *resource_json(struct cox_arena *a, const struct cox_xds_stream_info *info, const struct cox_resource *r,
                                      struct cox_err *err)
{
	struct cox_buf flat = { 0 };
	struct cox_json *body = NULL;
	if (info)
		append_whole(info, r, &flat);
	else
		cox_resource_flatten(r, &flat);
	struct cox_str bytes = cox_arena_str(a, cox_buf_str(&flat));
	cox_buf_fini(&flat);
	if (cox_envoy_any_to_json(cox_type_url(r->type), bytes, 0, a, &body, err) != COX_OK)
		return NULL;
	if (r->type == COX_TYPE_SDS)
		cox_secret_redact(a, body);
	return body;
}

static void write_resource(struct answer *w, struct cox_buf *part, const struct dump *l, const struct section *s,
                           const struct cox_resource *r)
{
	struct cox_arena *a = &w->scratch;
	struct cox_err err = { 0 };
	char version[33];
	cox_arena_reset(a);
	struct cox_json *around = cox_json_new_object(a), *item = cox_json_new_object(a),
	                *body = resource_json(a, l->as_sent ? NULL : &l->info, r, &err);
	cox_hash_to_hex(r->hash, version);
	answer_set_str(a, around, "version_info", cox_str_of(version));
	if (r->type == COX_TYPE_SDS)
		answer_set_str(a, around, "name", r->name);
	if (body)
		cox_json_set(a, around, cox_str_of(s->member), body);
	else
		answer_set_str(a, around, "error", cox_str_of(err.text));
	if (!s->state) {
		answer_item(w, part, around);
		return;
	}
	answer_set_str(a, item, "name", r->name);
	cox_json_set(a, item, cox_str_of(s->state), around);
	answer_item(w, part, item);
}

static void open_section(struct answer *w, struct cox_buf *part, struct dump *l, const struct section *s)
{
	char version[33];
	struct cox_buf head = { 0 };
	if (l->section)
		cox_buf_append_char(part, ',');
	cox_buf_printf(&head, "{\"@type\":\"%s\"", s->dump);
	if (s->section_version_no) {
		cox_hash_to_hex(l->info.types[s->type].sent_version, version);
		cox_buf_printf(&head, ",\"version_info\":\"%s\"", version);
	}
	if (s->list)
		cox_buf_printf(&head, ",\"%s\":[", s->list);
	answer_open(w, part, cox_buf_cstr(&head));
	cox_buf_fini(&head);
}

static bool is_shown(const struct dump *l, const struct section *s)
{
	return s->type == COX_TYPE_COUNT ||
	       (l->types[s->type] && (s->type != COX_TYPE_VHDS || (l->as_sent && sent_count(&l->info, COX_TYPE_VHDS))));
}

static bool more_dump(struct answer *w, struct cox_buf *part)
{
	struct dump *l = w->state;
	if (!l->is_begun)
		answer_open(w, part, "{\"configs\":[");
	l->is_begun = true;
	for (; l->section < COX_LEN(sections) && part->n < ANSWER_PART_BYTES; l->section++, l->at = 0, l->is_open = false) {
		const struct section *s = &sections[l->section];
		size_t n = sent_count(&l->info, s->type);
		if (!is_shown(l, s))
			continue;
		if (!l->is_open)
			open_section(w, part, l, s);
		l->is_open = true;
		for (; l->at < n && part->n < ANSWER_PART_BYTES; l->at++) {
			const struct cox_resource *r = sent_at(&l->info, s->type, l->at);
			if (r)
				write_resource(w, part, l, s, r);
		}
		if (l->at < n)
			return true;
		answer_close(w, part, s->list ? "]}" : "}");
	}
	if (l->section < COX_LEN(sections))
		return true;
	answer_close(w, part, "]}");
	return false;
}

/* The resources themselves, one after the other: ?types=, edsz and its like. */
static bool more_flat(struct answer *w, struct cox_buf *part)
{
	struct dump *l = w->state;
	if (!l->is_begun)
		answer_open(w, part, "{\"configs\":[");
	l->is_begun = true;
	for (; l->section < COX_TYPE_COUNT && part->n < ANSWER_PART_BYTES; l->section++, l->at = 0) {
		size_t n = l->types[l->section] ? sent_count(&l->info, (enum cox_type)l->section) : 0;
		for (; l->at < n && part->n < ANSWER_PART_BYTES; l->at++) {
			const struct cox_resource *r = sent_at(&l->info, (enum cox_type)l->section, l->at);
			struct cox_err err = { 0 };
			cox_arena_reset(&w->scratch);
			struct cox_json *body = r ? resource_json(&w->scratch, NULL, r, &err) : NULL;
			if (body)
				answer_item(w, part, body);
		}
		if (l->at < n)
			return true;
	}
	if (l->section < COX_TYPE_COUNT)
		return true;
	answer_close(w, part, "]}");
	return false;
}

static void dump_open(struct answer *w, struct cox_str types)
{
	struct dump *l = COX_ARENA_NEW(&w->arena, struct dump);
	struct cox_str item;
	bool is_flat = types.n > 0; /* resources alone */
	*l = (struct dump){ .as_sent = w->has_param[PARAM_AS_SENT] };
	if (!page_find_proxy(w, &l->info))
		return;
	while (types.n && cox_str_next(&types, ',', &item))
		for (size_t t = 0; t < COX_TYPE_COUNT; t++)
			l->types[t] |= cox_str_eq_cstr(cox_arena_lower(&w->arena, item), cox_type_metric((enum cox_type)t));
	for (size_t t = 0; t < COX_TYPE_COUNT && !is_flat; t++)
		l->types[t] = t != COX_TYPE_EDS || w->has_param[PARAM_INCLUDE_EDS];
	w->state = l;
	w->end = dump_end;
	w->more = is_flat ? more_flat : more_dump;
}

void page_config_dump(struct answer *w) { dump_open(w, w->params[PARAM_TYPES]); }
void page_eds(struct answer *w) { dump_open(w, COX_STR("eds")); }
void page_ecds(struct answer *w) { dump_open(w, COX_STR("ecds")); }
void page_nds(struct answer *w) { dump_open(w, COX_STR("nds")); }

/* --- protobuf ------------------------------------------------------------------------------------------------------------ */

/* The value of its Any. Secrets go without their keys. */
static void append_value(const struct cox_xds_stream_info *info, const struct cox_resource *r, struct cox_buf *out)
{
	struct cox_arena a = { 0 };
	struct cox_err err = { 0 };
	struct cox_str url = cox_type_url(r->type);
	cox_buf_clear(out);
	if (r->type != COX_TYPE_SDS) {
		append_whole(info, r, out);
		return;
	}
	struct cox_json *body = resource_json(&a, NULL, r, &err);
	const struct cox_envoy_message *m = cox_envoy_message_find(cox_str_sub(url, (size_t)cox_str_find(url, '/') + 1, url.n));
	struct cox_json *plain = cox_json_new_object(&a);
	for (size_t i = 0; body && i < body->n; i++)
		if (!cox_str_eq(body->members[i].key, COX_STR("@type")))
			cox_json_set(&a, plain, body->members[i].key, &body->members[i].value);
	if (!body || cox_envoy_from_json(m, plain, 0, out, &err) != COX_OK)
		cox_buf_clear(out);
	cox_arena_fini(&a);
}

static void put_any(struct cox_pb_at any, const struct cox_xds_stream_info *info, const struct cox_resource *r, struct cox_buf *scratch)
{
	append_value(info, r, scratch);
	cox_pb_put_bytes(any, PB_google_protobuf_Any_type_url__NUM, cox_type_url(r->type));
	cox_pb_put_bytes(any, PB_google_protobuf_Any_value__NUM, cox_buf_str(scratch));
	cox_pb_end(any);
}

static void put_item(struct cox_pb_at dump, const struct cox_xds_stream_info *info, const struct section *s, const struct cox_resource *r,
                     struct cox_buf *scratch)
{
	char version[33];
	cox_hash_to_hex(r->hash, version);
	struct cox_pb_at item = cox_pb_begin(dump, s->list_no), state = item;
	if (s->item_name_no)
		cox_pb_put_bytes(item, s->item_name_no, r->name);
	if (s->state_no)
		state = cox_pb_begin(item, s->state_no);
	cox_pb_put_bytes(state, s->version_no, cox_str_make(version, 32));
	put_any(cox_pb_begin(state, s->member_no), info, r, scratch);
	cox_pb_end(item);
}

void page_dump_items(const struct cox_xds_stream_info *info, struct cox_xds_item **items, size_t *n)
{
	struct cox_buf scratch = { 0 };
	*items = cox_calloc(COX_LEN(sections), sizeof(**items));
	*n = 0;
	for (size_t i = 0; i < COX_LEN(sections); i++) {
		const struct section *s = &sections[i];
		struct cox_xds_item *item = &(*items)[*n];
		struct cox_pb pb;
		char version[33];
		if (s->type == COX_TYPE_EDS || s->type == COX_TYPE_VHDS)
			continue; /* as istiod */
		(*n)++;
		item->type_url = cox_str_of(s->dump);
		cox_pb_init(&pb, &item->value);
		struct cox_pb_at dump = cox_pb_root(&pb);
		if (s->section_version_no) {
			cox_hash_to_hex(info->types[s->type].sent_version, version);
			cox_pb_put_bytes(dump, s->section_version_no, cox_str_make(version, 32));
		}
		for (size_t k = 0; k < sent_count(info, s->type); k++) {
			const struct cox_resource *r = sent_at(info, s->type, k);
			if (r)
				put_item(dump, info, s, r, &scratch);
		}
		cox_pb_end(dump);
	}
	cox_buf_fini(&scratch);
}
