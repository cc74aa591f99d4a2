#include "tool/fetch.h"

#include "tool/reach.h"

enum cox_rc cox_tool_fetch(const char *server, struct cox_str path, struct cox_arena *arena, struct cox_str *out, struct cox_err *err)
{
	return cox_reach_ask(&(struct cox_reach){ .url = cox_str_of(server) }, NULL, path, arena, out, err);
}

enum cox_rc cox_tool_fetch_world(const char *server, struct cox_world *w, struct cox_buf *notes, struct cox_err *err)
{
	struct cox_arena arena = { 0 };
	struct cox_json *objects = NULL;
	struct cox_str text;
	enum cox_rc rc = cox_tool_fetch(server, COX_STR("/debug/configz?all"), &arena, &text, err);
	if (rc == COX_OK)
		rc = cox_json_parse_answer(&arena, text, &objects, err);
	if (rc == COX_OK)
		rc = cox_world_load_json(w, objects, notes, err);
	cox_arena_fini(&arena);
	return rc;
}

/* "sidecar~10.0.0.1~web-0.shop~shop.svc.cluster.local" -> "web-0.shop" */
static struct cox_str proxy_of(struct cox_str node_id)
{
	struct cox_str rest = node_id, part = { 0 };
	for (int i = 0; i < 3; i++)
		if (!cox_str_next(&rest, '~', &part))
			return (struct cox_str){ 0 };
	return part;
}

enum cox_rc cox_tool_fetch_nodes(const char *server, struct cox_arena *arena, struct cox_json **out, struct cox_err *err)
{
	struct cox_json *tree = NULL, *list = cox_json_new_array(arena);
	struct cox_str text;
	COX_TRY(cox_tool_fetch(server, COX_STR("/debug/adsz"), arena, &text, err));
	COX_TRY(cox_json_parse_answer(arena, text, &tree, err));
	const struct cox_json *clients = cox_json_get(tree, COX_STR("clients"));
	for (size_t i = 0; clients && i < clients->n; i++) {
		const struct cox_json *node = cox_json_get(&clients->items[i], COX_STR("node")),
		                      *metadata = cox_json_get(&clients->items[i], COX_STR("metadata"));
		struct cox_str proxy = proxy_of(cox_json_str_at(node, "id"));
		if (proxy.n == 0 || cox_tool_node_find(list, proxy))
			continue; /* an older server, or a second stream of the same proxy */
		struct cox_json *o = cox_json_new_object(arena), *whole = cox_json_clone(arena, node);
		if (metadata)
			cox_json_set(arena, whole, COX_STR("metadata"), metadata);
		cox_json_set(arena, o, COX_STR("proxy"), cox_json_new_str(arena, proxy));
		cox_json_set(arena, o, COX_STR("node"), whole);
		cox_json_push(arena, list, o);
	}
	*out = list;
	return COX_OK;
}

const struct cox_json *cox_tool_node_find(const struct cox_json *nodes, struct cox_str proxy)
{
	for (size_t i = 0; nodes && i < nodes->n; i++) {
		struct cox_str name = cox_json_str_at(&nodes->items[i], "proxy");
		bool is_short = cox_str_rfind(proxy, '.') < 0 && name.n == proxy.n + 8 && cox_str_has_prefix(name, proxy);
		if (cox_str_eq(name, proxy) || (is_short && cox_str_has_suffix(name, COX_STR(".default"))))
			return cox_json_get(&nodes->items[i], COX_STR("node"));
	}
	return NULL;
}

enum cox_rc cox_tool_fetch_dump(const char *server, struct cox_str proxy, struct cox_arena *arena, struct cox_json **out,
                                struct cox_err *err)
{
	struct cox_str text, path = cox_arena_printf(arena, "/debug/config_dump?include_eds&as_sent&proxyID=%.*s%s", COX_FMT(proxy),
	                                             cox_str_rfind(proxy, '.') < 0 ? ".default" : "");
	COX_TRY(cox_tool_fetch(server, path, arena, &text, err));
	return cox_json_parse_answer(arena, text, out, err);
}
