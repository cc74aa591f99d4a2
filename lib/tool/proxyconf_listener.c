/* proxyconf_listener.c - listeners: what each filter chain matches and where it leads. */
#include "tool/proxyconf_priv.h"

#include <stdlib.h>

#define HCM "envoy.filters.network.http_connection_manager"
#define TCP_PROXY "envoy.filters.network.tcp_proxy"
#define BLACK_HOLE "BlackHoleCluster"

static size_t chain_count(const struct cox_json *listener)
{
	return pc_count(pc_get(listener, "filter_chains")) + (pc_get(listener, "default_filter_chain") != NULL);
}

static const struct cox_json *chain_at(const struct cox_json *listener, size_t i)
{
	const struct cox_json *chains = pc_get(listener, "filter_chains");
	return i < pc_count(chains) ? &chains->items[i] : pc_get(listener, "default_filter_chain");
}

/* A TCP proxy that only swallows is no destination. */
static bool is_black_hole(const struct cox_json *config)
{
	struct cox_buf text = { 0 };
	if (!config)
		return false;
	cox_json_write(&text, config, 0, false);
	bool is = cox_str_search(cox_buf_str(&text), COX_STR(BLACK_HOLE)) >= 0;
	cox_buf_fini(&text);
	return is;
}

static const char *listener_type(const struct cox_json *l)
{
	size_t http = 0, tcp = 0;
	for (size_t c = 0; c < chain_count(l); c++) {
		const struct cox_json *filters = pc_get(chain_at(l, c), "filters");
		for (size_t i = 0; i < pc_count(filters); i++) {
			struct cox_str name = pc_str(&filters->items[i], "name");
			http += cox_str_eq(name, COX_STR(HCM));
			tcp += cox_str_eq(name, COX_STR(TCP_PROXY)) && !is_black_hole(pc_get(&filters->items[i], "typed_config"));
		}
	}
	return http && tcp ? "HTTP+TCP" : http ? "HTTP" : tcp ? "TCP" : "UNKNOWN";
}

static struct cox_str listener_address(const struct cox_json *l)
{
	const struct cox_json *socket = pc_get(l, "address.socket_address");
	return socket ? pc_str(socket, "address") : pc_str(l, "address.pipe.path");
}

static int64_t listener_port(const struct cox_json *l) { return pc_i64(l, "address.socket_address.port_value"); }

int pc_listener_cmp(const void *a, const void *b)
{
	const struct cox_json *x = *(const struct cox_json *const *)a, *y = *(const struct cox_json *const *)b;
	if (listener_port(x) != listener_port(y))
		return listener_port(x) < listener_port(y) ? -1 : 1;
	int by_address = cox_str_cmp(listener_address(x), listener_address(y));
	return by_address ? by_address : strcmp(listener_type(x), listener_type(y));
}

bool pc_listener_fits(const struct cox_json *l, const struct cox_proxyconf_filter *f)
{
	const struct cox_json *more = pc_get(l, "additional_addresses");
	bool is_there = !f->address.n || cox_str_eq_nocase(listener_address(l), f->address);
	for (size_t i = 0; i < pc_count(more) && !is_there; i++)
		is_there = cox_str_eq_nocase(pc_str(&more->items[i], "address.socket_address.address"), f->address);
	return is_there && (!f->port || listener_port(l) == f->port) &&
	       (!f->type.n || cox_str_eq_nocase(cox_str_of(listener_type(l)), f->type));
}

/* --- what a chain matches -------------------------------------------------------------------------------- */

static void apart(struct cox_buf *out, size_t start)
{
	if (out->n > start)
		cox_buf_append_cstr(out, "; ");
}

/* Well-known sets of protocols have a name. */
static void protocols_write(const struct cox_json *protocols, struct cox_buf *out)
{
	static const struct {
		const char *list, *name;
	} known[] = {
		{ "http/1.0,http/1.1,h2c,istio-http/1.0,istio-http/1.1,istio-h2", "App: HTTP TLS" },
		{ "istio,istio-http/1.0,istio-http/1.1,istio-h2", "App: Istio HTTP Plain" },
		{ "istio-peer-exchange,istio", "App: TCP TLS" },
		{ "http/1.0,http/1.1,h2c", "App: HTTP" },
	};
	struct cox_buf list = { 0 };
	const char *name = NULL;
	pc_join(&list, protocols, ",");
	for (size_t i = 0; i < COX_LEN(known); i++)
		if (cox_str_eq_cstr(cox_buf_str(&list), known[i].list))
			name = known[i].name;
	if (name)
		cox_buf_append_cstr(out, name);
	else
		cox_buf_printf(out, "App: %s", cox_buf_cstr(&list));
	cox_buf_fini(&list);
}

static void chain_match_write(const struct cox_json *match, struct cox_buf *out)
{
	size_t start = out->n;
	const struct cox_json *names = pc_get(match, "server_names"), *protocols = pc_get(match, "application_protocols"),
	                      *ranges = pc_get(match, "prefix_ranges"), *port = pc_get(match, "destination_port");
	struct cox_str transport = pc_str(match, "transport_protocol");
	if (pc_count(names)) {
		cox_buf_append_cstr(out, "SNI: ");
		pc_join(out, names, ",");
	}
	if (transport.n) {
		apart(out, start);
		cox_buf_printf(out, "Trans: %.*s", COX_FMT(transport));
	}
	if (pc_count(protocols)) {
		apart(out, start);
		protocols_write(protocols, out);
	}
	if (pc_count(ranges) || port) {
		apart(out, start);
		cox_buf_append_cstr(out, "Addr: ");
		for (size_t i = 0; i < pc_count(ranges); i++)
			cox_buf_printf(out, "%s%.*s/%lld", i ? "," : "", COX_FMT(pc_str(&ranges->items[i], "address_prefix")),
			               (long long)pc_i64(&ranges->items[i], "prefix_len"));
		if (!pc_count(ranges))
			cox_buf_append_char(out, '*');
		if (port)
			cox_buf_printf(out, ":%lld", (long long)pc_i64(match, "destination_port"));
	}
	if (out->n == start)
		cox_buf_append_cstr(out, "ALL");
}

/* --- where a chain leads ---------------------------------------------------------------------------------- */

static void cluster_write(struct cox_str cluster, struct cox_buf *out)
{
	/* PassthroughCluster and the like say themselves what they are. */
	cox_buf_printf(out, "%s%.*s", cox_str_search(cluster, COX_STR("Cluster")) >= 0 ? "" : "Cluster: ", COX_FMT(cluster));
}

/* A route configuration that sends everything to one cluster; "" otherwise. */
static struct cox_str only_cluster(const struct cox_json *config)
{
	const struct cox_json *hosts = pc_get(config, "virtual_hosts"), *host = pc_count(hosts) == 1 ? &hosts->items[0] : NULL;
	const struct cox_json *domains = pc_get(host, "domains"), *routes = pc_get(host, "routes");
	if (pc_count(domains) != 1 || !cox_str_eq(domains->items[0].text, COX_STR("*")) || pc_count(routes) != 1 ||
	    !cox_str_eq(pc_str(&routes->items[0], "match.prefix"), COX_STR("/")))
		return (struct cox_str){ 0 };
	return pc_str(&routes->items[0], "route.cluster");
}

static void inline_route_write(const struct cox_json *config, struct cox_buf *out)
{
	const struct cox_json *hosts = pc_get(config, "virtual_hosts");
	struct cox_str cluster = only_cluster(config);
	if (cluster.n) {
		cluster_write(cluster, out);
		return;
	}
	cox_buf_append_cstr(out, "Inline Route: ");
	for (size_t h = 0; h < pc_count(hosts); h++) {
		const struct cox_json *domains = pc_get(&hosts->items[h], "domains"), *routes = pc_get(&hosts->items[h], "routes");
		if (h)
			cox_buf_append_cstr(out, "; ");
		if (pc_count(domains) && !(pc_count(domains) == 1 && cox_str_eq(domains->items[0].text, COX_STR("*")))) {
			pc_join(out, domains, "/");
			cox_buf_append_char(out, ' ');
		}
		for (size_t r = 0; r < pc_count(routes); r++) {
			if (r)
				cox_buf_append_cstr(out, ", ");
			pc_match_write(pc_get(&routes->items[r], "match"), out);
		}
	}
}

static void destination_write(const struct cox_json *chain, struct cox_buf *out)
{
	const struct cox_json *filters = pc_get(chain, "filters");
	for (size_t i = 0; i < pc_count(filters); i++) {
		struct cox_str name = pc_str(&filters->items[i], "name");
		const struct cox_json *config = pc_get(&filters->items[i], "typed_config");
		if (cox_str_eq(name, COX_STR(HCM))) {
			struct cox_str rds = pc_str(config, "rds.route_config_name");
			if (pc_get(config, "route_config"))
				inline_route_write(pc_get(config, "route_config"), out);
			else if (rds.n)
				cox_buf_printf(out, "Route: %.*s", COX_FMT(rds));
			else
				cox_buf_append_cstr(out, "HTTP");
			return;
		}
		if (cox_str_eq(name, COX_STR(TCP_PROXY)) && !is_black_hole(config)) {
			cluster_write(pc_str(config, "cluster"), out);
			return;
		}
	}
	cox_buf_append_cstr(out, "Non-HTTP/Non-TCP");
}

/* --- rows --------------------------------------------------------------------------------------------------- */

void pc_listener_header(const struct cox_proxyconf_filter *f, struct cox_table *t)
{
	if (f->names_kinds)
		cox_table_cell(t, COX_STR("NAME"));
	cox_table_row(t, f->is_brief ? "ADDRESSES\tPORT\tTYPE" : "ADDRESSES\tPORT\tMATCH\tDESTINATION");
}

static void first_cells(const struct cox_json *l, const struct cox_proxyconf_filter *f, struct cox_table *t)
{
	const struct cox_json *more = pc_get(l, "additional_addresses");
	struct cox_buf b = { 0 };
	if (f->names_kinds)
		cox_table_cellf(t, "listener/%.*s", COX_FMT(pc_str(l, "name")));
	cox_buf_append_str(&b, listener_address(l));
	for (size_t i = 0; i < pc_count(more); i++)
		cox_buf_printf(&b, ",%.*s", COX_FMT(pc_str(&more->items[i], "address.socket_address.address")));
	cox_table_cell(t, cox_buf_str(&b));
	cox_table_cellf(t, "%lld", (long long)listener_port(l));
	cox_buf_fini(&b);
}

struct row {
	struct cox_str match, destination;
	size_t at;
};

static int row_cmp(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	int down = cox_str_cmp(y->destination, x->destination);
	return down ? down : x->at < y->at ? -1 : 1;
}

static void chains_write(const struct cox_json *l, const struct cox_proxyconf_filter *f, struct cox_table *t)
{
	size_t n = chain_count(l);
	struct row *rows = cox_calloc(n + 1, sizeof(*rows));
	struct cox_buf b = { 0 };
	for (size_t i = 0; i < n; i++) {
		const struct cox_json *chain = chain_at(l, i);
		cox_buf_clear(&b);
		chain_match_write(pc_get(chain, "filter_chain_match"), &b);
		rows[i].match = cox_arena_str(&t->arena, cox_buf_str(&b));
		cox_buf_clear(&b);
		destination_write(chain, &b);
		rows[i].destination = cox_arena_str(&t->arena, cox_buf_str(&b));
		rows[i].at = i;
	}
	qsort(rows, n, sizeof(*rows), row_cmp);
	for (size_t i = 0; i < n; i++) {
		first_cells(l, f, t);
		cox_table_cell(t, rows[i].match);
		cox_table_cell(t, rows[i].destination);
		cox_table_row_end(t);
	}
	cox_buf_fini(&b);
	cox_free(rows);
}

void pc_listener_rows(const struct pc_list *list, const struct cox_proxyconf_filter *f, struct cox_table *t)
{
	for (size_t i = 0; i < list->items.n; i++) {
		if (!f->is_brief) {
			chains_write(list->items.p[i], f, t);
			continue;
		}
		first_cells(list->items.p[i], f, t);
		cox_table_cell(t, cox_str_of(listener_type(list->items.p[i])));
		cox_table_row_end(t);
	}
}
