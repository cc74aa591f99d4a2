/* proxyconf_route.c - routes, and what they say of where they came from. */
#include "tool/proxyconf_priv.h"

enum { DOMAINS_SHOWN = 2 };

void pc_match_write(const struct cox_json *match, struct cox_buf *out)
{
	const struct {
		const char *member, *before, *after;
	} kinds[] = { { "prefix", "", "*" },
		      { "path_separated_prefix", "PathPrefix:", "" },
		      { "path", "", "" },
		      { "safe_regex.regex", "regex ", "" } };
	size_t start = out->n;
	for (size_t i = 0; i < COX_LEN(kinds); i++) {
		struct cox_str text = pc_str(match, kinds[i].member);
		if (text.n)
			cox_buf_printf(out, "%s%s%.*s%s", out->n > start ? " " : "", kinds[i].before, COX_FMT(text), kinds[i].after);
	}
}

struct cox_str pc_origin(const struct cox_json *resource, struct cox_arena *arena)
{
	const struct cox_json *istio = pc_get(pc_get(resource, "metadata.filter_metadata"), "istio");
	struct cox_str path = cox_json_str_at(istio, "config"), rest = path, parts[8], part;
	size_t n = 0;
	if (!cox_json_get(istio, COX_STR("config")))
		return COX_STR("");
	if (!cox_str_has_prefix(path, COX_STR("/apis/networking.istio.io/")))
		return COX_STR("<unknown>");
	while (cox_str_next(&rest, '/', &part)) {
		if (n == COX_LEN(parts))
			return COX_STR("");
		parts[n++] = part;
	}
	/* "", apis, group, version, namespaces, namespace, kind, name */
	return n == COX_LEN(parts) ? cox_arena_printf(arena, "%.*s.%.*s", COX_FMT(parts[7]), COX_FMT(parts[5])) : COX_STR("");
}

/* Without a port, or an IPv6 address in brackets. */
static bool is_shown(struct cox_str domain)
{
	size_t colons = 0;
	for (size_t i = 0; i < domain.n; i++)
		colons += domain.p[i] == ':';
	return colons == 0 || (colons > 2 && cox_str_has_suffix(domain, COX_STR("]")));
}

static bool has_shorter(const struct cox_str *domains, size_t n, struct cox_str domain, struct cox_str suffix)
{
	if (!cox_str_has_suffix(domain, suffix))
		return false;
	for (size_t i = 0; i < n; i++)
		if (cox_str_eq(domains[i], cox_str_sub(domain, 0, domain.n - suffix.n)))
			return true;
	return false;
}

/* The names that say something: without ports, and the short one of several forms of one name. */
static void domains_write(const struct cox_json *all, struct cox_buf *out)
{
	if (pc_count(all) <= 1) {
		pc_join(out, all, "");
		return;
	}
	struct cox_str *domains = cox_calloc(all->n, sizeof(*domains));
	size_t n = 0, kept = 0, start = out->n;
	for (size_t i = 0; i < all->n; i++)
		if (is_shown(all->items[i].text))
			domains[n++] = all->items[i].text;
	for (size_t i = 0; i < n; i++) {
		if (has_shorter(domains, n, domains[i], COX_STR(".svc.cluster.local")) ||
		    has_shorter(domains, n, domains[i], COX_STR(".svc")))
			continue;
		if (kept++ < DOMAINS_SHOWN)
			cox_buf_printf(out, "%s%.*s", out->n > start ? ", " : "", COX_FMT(domains[i]));
	}
	if (kept > DOMAINS_SHOWN)
		cox_buf_printf(out, " + %zu more...", kept - DOMAINS_SHOWN);
	cox_free(domains);
}

static void route_row(const struct cox_json *config, const struct cox_json *host, const struct cox_json *route,
                      const struct cox_proxyconf_filter *f, struct cox_table *t)
{
	struct cox_buf b = { 0 };
	cox_table_cellf(t, "%s%.*s", f->names_kinds ? "route/" : "", COX_FMT(pc_str(config, "name")));
	cox_table_cell(t, pc_str(host, "name"));
	domains_write(pc_get(host, "domains"), &b);
	cox_table_cell(t, cox_buf_str(&b));
	cox_buf_clear(&b);
	if (route)
		pc_match_write(pc_get(route, "match"), &b);
	cox_table_cell(t, route ? cox_buf_str(&b) : COX_STR("/*"));
	cox_table_cell(t, route ? pc_origin(route, &t->arena) : COX_STR("404"));
	cox_table_row_end(t);
	cox_buf_fini(&b);
}

void pc_route_rows(const struct pc_list *list, const struct cox_proxyconf_filter *f, struct cox_table *t)
{
	for (size_t i = 0; i < list->items.n; i++) {
		const struct cox_json *config = list->items.p[i], *hosts = pc_get(config, "virtual_hosts");
		if (f->is_brief) {
			cox_table_cellf(t, "%s%.*s", f->names_kinds ? "route/" : "", COX_FMT(pc_str(config, "name")));
			cox_table_cellf(t, "%zu", pc_count(hosts));
			cox_table_row_end(t);
			continue;
		}
		for (size_t h = 0; h < pc_count(hosts); h++) {
			const struct cox_json *routes = pc_get(&hosts->items[h], "routes");
			for (size_t r = 0; r < pc_count(routes); r++)
				if (!cox_str_eq(pc_str(&routes->items[r], "route.cluster"), COX_STR("PassthroughCluster")))
					route_row(config, &hosts->items[h], &routes->items[r], f, t);
			if (!pc_count(routes))
				route_row(config, &hosts->items[h], NULL, f, t);
		}
	}
}
