/* proxyconf.c - see proxyconf.h: sections of a dump, clusters, endpoints; the table of what there is. */
#include "tool/proxyconf.h"

#include "envoy/transcode.h"
#include "tool/proxyconf_priv.h"

#include <stdio.h>
#include <stdlib.h>

/* --- reading a tree ---------------------------------------------------------------------------------------- */

const struct cox_json *pc_get(const struct cox_json *v, const char *dotted)
{
	struct cox_str rest = cox_str_of(dotted), part;
	char camel[128];
	while (v && cox_str_next(&rest, '.', &part)) {
		const struct cox_json *next = cox_json_get(v, part);
		v = next ? next : cox_json_get(v, cox_envoy_camel(part, camel, sizeof(camel)));
	}
	return v && v->type != COX_JSON_NULL ? v : NULL;
}

struct cox_str pc_str(const struct cox_json *v, const char *dotted)
{
	const struct cox_json *found = pc_get(v, dotted);
	return found && found->type == COX_JSON_STRING ? found->text : (struct cox_str){ 0 };
}

int64_t pc_i64(const struct cox_json *v, const char *dotted)
{
	const struct cox_json *found = pc_get(v, dotted);
	int64_t n = 0;
	if (!found || (found->type == COX_JSON_STRING ? cox_str_to_i64(found->text, &n) : cox_json_to_i64(found, &n)) != COX_OK)
		return 0;
	return n;
}

size_t pc_count(const struct cox_json *array) { return array && array->type == COX_JSON_ARRAY ? array->n : 0; }

void pc_join(struct cox_buf *out, const struct cox_json *strings, const char *between)
{
	for (size_t i = 0; i < pc_count(strings); i++)
		cox_buf_printf(out, "%s%.*s", i ? between : "", COX_FMT(strings->items[i].text));
}

const struct cox_json *pc_section(const struct cox_json *dump, const char *type, size_t *from)
{
	const struct cox_json *configs = pc_get(dump, "configs");
	for (; *from < pc_count(configs); ++*from) {
		struct cox_str name = cox_json_get(&configs->items[*from], COX_STR("@type"))
		                          ? cox_json_get(&configs->items[*from], COX_STR("@type"))->text
		                          : COX_STR("");
		ptrdiff_t dot = cox_str_rfind(name, '.');
		if (cox_str_eq_cstr(cox_str_sub(name, (size_t)(dot + 1), SIZE_MAX), type))
			return &configs->items[(*from)++];
	}
	return NULL;
}

/* --- names of clusters --------------------------------------------------------------------------------------- */

bool pc_cluster_name_parse(struct cox_str name, struct pc_cluster_name *out)
{
	struct cox_str rest = name, parts[4], part;
	size_t n = 0;
	while (cox_str_next(&rest, '|', &part)) {
		if (n < COX_LEN(parts))
			parts[n] = part;
		n++;
	}
	*out = (struct pc_cluster_name){ .fqdn = name };
	if (n < COX_LEN(parts))
		return false;
	*out = (struct pc_cluster_name){ .direction = parts[0], .subset = parts[2], .fqdn = parts[3] };
	if (cox_str_to_i64(parts[1], &out->port) != COX_OK)
		out->port = 0;
	return true;
}

int pc_cluster_name_cmp(struct cox_str a, struct cox_str b)
{
	struct pc_cluster_name x, y;
	pc_cluster_name_parse(a, &x);
	pc_cluster_name_parse(b, &y);
	int c = cox_str_cmp(x.fqdn, y.fqdn);
	c = c ? c : cox_str_cmp(x.subset, y.subset);
	c = c ? c : (x.port > y.port) - (x.port < y.port);
	return c ? c : cox_str_cmp(x.direction, y.direction);
}

/* --- resources of a section ------------------------------------------------------------------------------------ */

struct part {
	const char *list, *resource; /* "dynamic_active_clusters", "cluster" */
};
static const struct kind {
	const char *section, *none;
	struct part parts[2];
	const char *message; /* what a resource is */
} kinds[] = {
	[COX_PROXYCONF_CLUSTERS] = { "ClustersConfigDump",
	                             "no clusters found",
	                             { { "dynamic_active_clusters", "cluster" }, { "static_clusters", "cluster" } },
	                             "envoy.config.cluster.v3.Cluster" },
	[COX_PROXYCONF_LISTENERS] = { "ListenersConfigDump",
	                              "no listeners found",
	                              { { "dynamic_listeners", "active_state.listener" }, { "static_listeners", "listener" } },
	                              "envoy.config.listener.v3.Listener" },
	[COX_PROXYCONF_ROUTES] = { "RoutesConfigDump",
	                           "no routes found",
	                           { { "dynamic_route_configs", "route_config" }, { "static_route_configs", "route_config" } },
	                           "envoy.config.route.v3.RouteConfiguration" },
	[COX_PROXYCONF_ENDPOINTS] = { "EndpointsConfigDump",
	                              NULL,
	                              { { "dynamic_endpoint_configs", "endpoint_config" },
	                                { "static_endpoint_configs", "endpoint_config" } },
	                              "envoy.config.endpoint.v3.ClusterLoadAssignment" },
	[COX_PROXYCONF_HOSTS] = { "Clusters", NULL, { { NULL, NULL } }, "envoy.admin.v3.ClusterStatus" },
	[COX_PROXYCONF_SECRETS] = { "SecretsConfigDump", NULL, { { NULL, NULL } }, "envoy.admin.v3.SecretsConfigDump" },
	[COX_PROXYCONF_ECDS] = { "EcdsConfigDump",
	                         NULL,
	                         { { "ecds_filters", "ecds_filter" } },
	                         "envoy.config.core.v3.TypedExtensionConfig" },
	[COX_PROXYCONF_BOOTSTRAP] = { "BootstrapConfigDump", NULL, { { NULL, NULL } }, "envoy.admin.v3.BootstrapConfigDump" },
};

static void list_take(const struct cox_json *dump, const struct kind *k, struct pc_list *out)
{
	for (size_t p = 0; p < COX_LEN(k->parts) && k->parts[p].list; p++) {
		const struct cox_json *section;
		for (size_t from = 0; (section = pc_section(dump, k->section, &from));) {
			const struct cox_json *list = pc_get(section, k->parts[p].list);
			for (size_t i = 0; i < pc_count(list); i++) {
				const struct cox_json *resource = pc_get(&list->items[i], k->parts[p].resource);
				if (resource)
					cox_vec_push(&out->items, resource);
			}
		}
	}
}

static const struct cox_json *deref(const void *p) { return *(const struct cox_json *const *)p; }
static int cluster_cmp(const void *a, const void *b) { return pc_cluster_name_cmp(pc_str(deref(a), "name"), pc_str(deref(b), "name")); }
static int assignment_cmp(const void *a, const void *b)
{
	return pc_cluster_name_cmp(pc_str(deref(a), "cluster_name"), pc_str(deref(b), "cluster_name"));
}
static struct cox_str ecds_type(const struct cox_json *e)
{
	const struct cox_json *type = cox_json_get(pc_get(e, "typed_config"), COX_STR("@type"));
	return type ? type->text : (struct cox_str){ 0 };
}
static int ecds_cmp(const void *a, const void *b)
{
	int c = cox_str_cmp(ecds_type(deref(a)), ecds_type(deref(b)));
	return c ? c : cox_str_cmp(pc_str(deref(a), "name"), pc_str(deref(b), "name"));
}

/* Neighbours that are both ports by number, the others as they come: what istioctl's sorting of a few makes of them. */
static void routes_sort(struct pc_list *list)
{
	for (size_t i = 1; i < list->items.n; i++) /* a few dozen */
		for (size_t j = i; j > 0; j--) {
			int64_t a, b;
			if (cox_str_to_i64(pc_str(list->items.p[j - 1], "name"), &a) != COX_OK ||
			    cox_str_to_i64(pc_str(list->items.p[j], "name"), &b) != COX_OK || a <= b)
				break;
			const struct cox_json *swap = list->items.p[j];
			list->items.p[j] = list->items.p[j - 1];
			list->items.p[j - 1] = swap;
		}
}

/* --- filters ------------------------------------------------------------------------------------------------------ */

static bool cluster_fits(const struct cox_json *c, const struct cox_proxyconf_filter *f)
{
	struct cox_str name = pc_str(c, "name");
	char port[32];
	(void)snprintf(port, sizeof(port), "|%lld|", (long long)f->port);
	return (!f->fqdn.n || cox_str_search(name, f->fqdn) >= 0) && (!f->direction.n || cox_str_search(name, f->direction) >= 0) &&
	       (!f->subset.n || cox_str_search(name, f->subset) >= 0) && (!f->port || cox_str_search(name, cox_str_of(port)) >= 0);
}

static void addresses_write(const struct cox_json *endpoint, struct cox_buf *out);

static struct cox_str health_of(const struct cox_json *v, const char *member)
{
	struct cox_str text = pc_str(v, member);
	return text.n ? text : COX_STR("UNKNOWN");
}

static bool endpoint_fits(const struct cox_json *lb, struct cox_str cluster, const struct cox_proxyconf_filter *f)
{
	const struct cox_json *address = pc_get(lb, "endpoint.address");
	bool is_there = !f->address.n;
	if (!is_there) {
		struct cox_buf all = { 0 };
		addresses_write(pc_get(lb, "endpoint"), &all);
		struct cox_str rest = cox_buf_str(&all), one;
		while (!is_there && cox_str_next(&rest, ',', &one))
			is_there = cox_str_eq_nocase(one, f->address);
		cox_buf_fini(&all);
	}
	return is_there && (!f->port || pc_i64(address, "socket_address.port_value") == f->port) &&
	       (!f->cluster.n || cox_str_eq_nocase(cluster, f->cluster)) &&
	       (!f->status.n || cox_str_eq_nocase(health_of(lb, "health_status"), f->status));
}

static bool assignment_fits(const struct cox_json *a, const struct cox_proxyconf_filter *f)
{
	const struct cox_json *groups = pc_get(a, "endpoints");
	for (size_t g = 0; g < pc_count(groups); g++) {
		const struct cox_json *list = pc_get(&groups->items[g], "lb_endpoints");
		for (size_t i = 0; i < pc_count(list); i++)
			if (endpoint_fits(&list->items[i], pc_str(a, "cluster_name"), f))
				return true;
	}
	return false;
}

static void list_filter(enum cox_proxyconf_what what, const struct cox_proxyconf_filter *f, struct pc_list *list)
{
	size_t kept = 0;
	for (size_t i = 0; i < list->items.n; i++) {
		const struct cox_json *v = list->items.p[i];
		bool fits = what == COX_PROXYCONF_CLUSTERS    ? cluster_fits(v, f)
		            : what == COX_PROXYCONF_LISTENERS ? pc_listener_fits(v, f)
		            : what == COX_PROXYCONF_ROUTES    ? !f->name.n || cox_str_eq(pc_str(v, "name"), f->name)
		            : what == COX_PROXYCONF_ENDPOINTS ? assignment_fits(v, f)
		                                              : true;
		if (fits)
			list->items.p[kept++] = v;
	}
	list->items.n = kept;
}

/* istioctl sorts listeners of the table only. */
static enum cox_rc list_get(enum cox_proxyconf_what what, const struct cox_json *dump, const struct cox_proxyconf_filter *f, bool is_table,
                            struct pc_list *out, struct cox_err *err)
{
	const struct kind *k = &kinds[what];
	int (*cmp)(const void *, const void *) = what == COX_PROXYCONF_CLUSTERS                ? cluster_cmp
	                                         : what == COX_PROXYCONF_LISTENERS && is_table ? pc_listener_cmp
	                                         : what == COX_PROXYCONF_ENDPOINTS             ? assignment_cmp
	                                         : what == COX_PROXYCONF_ECDS                  ? ecds_cmp
	                                                                                       : NULL;
	list_take(dump, k, out);
	if (out->items.n == 0 && k->none)
		return cox_err_set(err, COX_ENOTFOUND, NULL, "%s", k->none);
	if (what == COX_PROXYCONF_ROUTES)
		routes_sort(out);
	if (cmp && out->items.n)
		qsort(out->items.p, out->items.n, sizeof(*out->items.p), cmp);
	list_filter(what, f, out);
	return COX_OK;
}

/* --- clusters and endpoints ---------------------------------------------------------------------------------------- */

static void cluster_rows(const struct pc_list *list, const struct cox_proxyconf_filter *f, struct cox_table *t)
{
	cox_table_row(t, f->names_kinds ? "NAME\tSERVICE FQDN\tPORT\tSUBSET\tDIRECTION\tTYPE\tDESTINATION RULE"
	                                : "SERVICE FQDN\tPORT\tSUBSET\tDIRECTION\tTYPE\tDESTINATION RULE");
	for (size_t i = 0; i < list->items.n; i++) {
		const struct cox_json *c = list->items.p[i];
		struct cox_str name = pc_str(c, "name"), type = pc_str(c, "type");
		struct pc_cluster_name parts;
		bool is_service = pc_cluster_name_parse(name, &parts);
		if (f->names_kinds && (is_service || name.n))
			cox_table_cellf(t, "cluster/%.*s", COX_FMT(name));
		if (is_service) {
			cox_table_cell(t, parts.fqdn);
			cox_table_cellf(t, "%lld", (long long)parts.port);
			cox_table_cell(t, parts.subset.n ? parts.subset : COX_STR("-"));
			cox_table_cell(t, parts.direction);
		} else {
			cox_table_cellf(t, "%s%.*s", f->names_kinds && name.n ? "cluster/" : "", COX_FMT(name));
			for (int n = 0; n < 3; n++)
				cox_table_cell(t, COX_STR("-"));
		}
		cox_table_cell(t, type.n ? type : COX_STR("STATIC"));
		cox_table_cell(t, pc_origin(c, &t->arena));
		cox_table_row_end(t);
	}
}

static void address_write(const struct cox_json *address, struct cox_buf *out)
{
	const struct cox_json *socket = pc_get(address, "socket_address"), *pipe = pc_get(address, "pipe"),
	                      *internal = pc_get(address, "envoy_internal_address");
	if (socket)
		cox_buf_printf(out, "%.*s:%lld", COX_FMT(pc_str(socket, "address")), (long long)pc_i64(socket, "port_value"));
	else if (pipe)
		cox_buf_append_str(out, pc_str(pipe, "path"));
	else if (pc_get(internal, "server_listener_name"))
		cox_buf_printf(out, "envoy://%.*s/%.*s", COX_FMT(pc_str(internal, "server_listener_name")),
		               COX_FMT(pc_str(internal, "endpoint_id")));
	else
		cox_buf_append_cstr(out, "unknown");
}

/* Joined by ','. */
static void addresses_write(const struct cox_json *endpoint, struct cox_buf *out)
{
	const struct cox_json *more = pc_get(endpoint, "additional_addresses");
	address_write(pc_get(endpoint, "address"), out);
	for (size_t i = 0; i < pc_count(more); i++) {
		cox_buf_append_char(out, ',');
		address_write(pc_get(&more->items[i], "address"), out);
	}
}

static struct cox_str locality_of(const struct cox_json *locality, struct cox_arena *arena)
{
	static const char *const parts[] = { "region", "zone", "sub_zone" };
	struct cox_str text = { 0 };
	for (size_t i = 0; i < COX_LEN(parts); i++) {
		struct cox_str part = pc_str(locality, parts[i]);
		if (!part.n)
			break;
		text = text.n ? cox_arena_printf(arena, "%.*s/%.*s", COX_FMT(text), COX_FMT(part)) : part;
	}
	return text;
}

static void endpoint_rows(const struct pc_list *list, const struct cox_proxyconf_filter *f, struct cox_table *t)
{
	struct cox_buf b = { 0 };
	cox_table_row(t, "NAME\tSTATUS\tLOCALITY\tCLUSTER");
	for (size_t i = 0; i < list->items.n; i++) {
		const struct cox_json *groups = pc_get(list->items.p[i], "endpoints");
		struct cox_str cluster = pc_str(list->items.p[i], "cluster_name");
		for (size_t g = 0; g < pc_count(groups); g++) {
			const struct cox_json *endpoints = pc_get(&groups->items[g], "lb_endpoints");
			for (size_t e = 0; e < pc_count(endpoints); e++) {
				if (!endpoint_fits(&endpoints->items[e], cluster, f))
					continue;
				cox_buf_clear(&b);
				cox_buf_append_cstr(&b, f->names_kinds ? "endpoint/" : "");
				addresses_write(pc_get(&endpoints->items[e], "endpoint"), &b);
				cox_table_cell(t, cox_buf_str(&b));
				cox_table_cell(t, health_of(&endpoints->items[e], "health_status"));
				cox_table_cell(t, locality_of(pc_get(&groups->items[g], "locality"), &t->arena));
				cox_table_cell(t, cluster);
				cox_table_row_end(t);
			}
		}
	}
	cox_buf_fini(&b);
}

/* --- /clusters?format=json --------------------------------------------------------------------------------------- */

struct host {
	struct cox_str address, cluster, status;
	int64_t port;
	bool has_failed;
};

static int host_cmp(const void *a, const void *b)
{
	const struct host *x = a, *y = b;
	int c = cox_str_cmp(x->address, y->address);
	c = c ? c : (x->port > y->port) - (x->port < y->port);
	return c ? c : cox_str_cmp(x->cluster, y->cluster);
}

static struct host host_read(const struct cox_json *status, struct cox_str cluster, struct cox_arena *arena)
{
	const struct cox_json *socket = pc_get(status, "address.socket_address"), *pipe = pc_get(status, "address.pipe"),
	                      *failed = pc_get(status, "health_status.failed_outlier_check");
	struct host h = { .cluster = cluster,
		          .status = health_of(status, "health_status.eds_health_status"),
		          .port = pc_i64(socket, "port_value"),
		          .has_failed = failed && failed->boolean };
	if (socket)
		h.address = pc_str(socket, "address");
	else if (pipe)
		h.address = cox_arena_printf(arena, "unix://%.*s", COX_FMT(pc_str(pipe, "path")));
	else {
		struct cox_buf b = { 0 };
		address_write(pc_get(status, "address"), &b);
		h.address = cox_arena_str(arena, cox_buf_str(&b));
		cox_buf_fini(&b);
	}
	return h;
}

static bool host_fits(const struct host *h, const struct cox_proxyconf_filter *f)
{
	return (!f->address.n || cox_str_eq_nocase(h->address, f->address)) && (!f->port || h->port == f->port) &&
	       (!f->cluster.n || cox_str_eq_nocase(h->cluster, f->cluster)) && (!f->status.n || cox_str_eq_nocase(h->status, f->status));
}

static void host_rows(const struct cox_json *clusters, const struct cox_proxyconf_filter *f, struct cox_table *t)
{
	const struct cox_json *list = pc_get(clusters, "cluster_statuses");
	COX_VEC(struct host) hosts = { 0 };
	for (size_t c = 0; c < pc_count(list); c++) {
		const struct cox_json *statuses = pc_get(&list->items[c], "host_statuses");
		for (size_t i = 0; i < pc_count(statuses); i++) {
			struct host h = host_read(&statuses->items[i], pc_str(&list->items[c], "name"), &t->arena);
			if (host_fits(&h, f))
				cox_vec_push(&hosts, h);
		}
	}
	if (hosts.n)
		qsort(hosts.p, hosts.n, sizeof(*hosts.p), host_cmp);
	cox_table_row(t, "ENDPOINT\tSTATUS\tOUTLIER CHECK\tCLUSTER");
	for (size_t i = 0; i < hosts.n; i++) {
		if (hosts.p[i].port)
			cox_table_cellf(t, "%.*s:%lld", COX_FMT(hosts.p[i].address), (long long)hosts.p[i].port);
		else
			cox_table_cell(t, hosts.p[i].address);
		cox_table_cell(t, hosts.p[i].status);
		cox_table_cell(t, hosts.p[i].has_failed ? COX_STR("FAILED") : COX_STR("OK"));
		cox_table_cell(t, hosts.p[i].cluster);
		cox_table_row_end(t);
	}
	cox_vec_fini(&hosts);
}

static void ecds_rows(const struct pc_list *list, struct cox_table *t)
{
	cox_table_row(t, "ECDS NAME\tTYPE");
	for (size_t i = 0; i < list->items.n; i++) {
		struct cox_str type = ecds_type(list->items.p[i]), prefix = COX_STR("type.googleapis.com/");
		cox_table_cell(t, pc_str(list->items.p[i], "name"));
		cox_table_cell(t, cox_str_has_prefix(type, prefix) ? cox_str_sub(type, prefix.n, SIZE_MAX) : type);
		cox_table_row_end(t);
	}
}

/* --- public --------------------------------------------------------------------------------------------------------- */

static enum cox_rc dump_check(enum cox_proxyconf_what what, const struct cox_json *dump, struct cox_err *err)
{
	if (what == COX_PROXYCONF_HOSTS)
		return pc_get(dump, "cluster_statuses")
		           ? COX_OK
		           : cox_err_set(err, COX_EINVAL, NULL, "this is no answer of Envoy's /clusters?format=json");
	return pc_get(dump, "configs") ? COX_OK : cox_err_set(err, COX_EINVAL, NULL, "this is no config dump of Envoy");
}

static enum cox_rc section_get(enum cox_proxyconf_what what, const struct cox_json *dump, const struct cox_json **out, struct cox_err *err)
{
	size_t from = 0;
	*out = pc_section(dump, kinds[what].section, &from);
	return *out ? COX_OK : cox_err_set(err, COX_ENOTFOUND, NULL, "the config dump has no %s", kinds[what].section);
}

enum cox_rc cox_proxyconf_table(enum cox_proxyconf_what what, const struct cox_json *dump, const struct cox_proxyconf_filter *f,
                                struct cox_buf *out, struct cox_err *err)
{
	struct pc_list list = { 0 };
	struct cox_table t = { 0 };
	const struct cox_json *section = NULL;
	COX_TRY(dump_check(what, dump, err));
	if (what == COX_PROXYCONF_SECRETS || what == COX_PROXYCONF_BOOTSTRAP) {
		COX_TRY(section_get(what, dump, &section, err));
		if (what == COX_PROXYCONF_SECRETS)
			pc_secret_write(section, f, out);
		else
			pc_bootstrap_write(section, out);
		return COX_OK;
	}
	enum cox_rc rc = what == COX_PROXYCONF_HOSTS ? COX_OK : list_get(what, dump, f, true, &list, err);
	if (rc == COX_OK) {
		switch (what) {
		case COX_PROXYCONF_CLUSTERS: cluster_rows(&list, f, &t); break;
		case COX_PROXYCONF_LISTENERS:
			pc_listener_header(f, &t);
			pc_listener_rows(&list, f, &t);
			break;
		case COX_PROXYCONF_ROUTES:
			cox_table_row(&t, f->is_brief ? "NAME\tVIRTUAL HOSTS" : "NAME\tVHOST NAME\tDOMAINS\tMATCH\tVIRTUAL SERVICE");
			pc_route_rows(&list, f, &t);
			break;
		case COX_PROXYCONF_ENDPOINTS: endpoint_rows(&list, f, &t); break;
		case COX_PROXYCONF_HOSTS: host_rows(dump, f, &t); break;
		case COX_PROXYCONF_ECDS: ecds_rows(&list, &t); break;
		case COX_PROXYCONF_SECRETS:
		case COX_PROXYCONF_BOOTSTRAP: break;
		}
		cox_table_write(&t, what == COX_PROXYCONF_LISTENERS ? 1 : 5, out);
	}
	cox_table_fini(&t);
	cox_vec_fini(&list.items);
	return rc;
}

/* As protobuf maps it to JSON; a resource with something that we do not know is left as it is. */
static const struct cox_json *normal(const char *message, const struct cox_json *v, struct cox_arena *arena)
{
	const struct cox_envoy_message *m = cox_envoy_message_find(cox_str_of(message));
	struct cox_buf wire = { 0 };
	struct cox_json *out = NULL, *bare = cox_json_clone(arena, v);
	if (bare->type == COX_JSON_OBJECT && bare->n && cox_str_eq(bare->members[0].key, COX_STR("@type"))) {
		bare->members++;
		bare->n--;
	}
	if (m && cox_envoy_from_json(m, bare, COX_TRANSCODE_IGNORE_UNKNOWN, &wire, NULL) == COX_OK &&
	    cox_envoy_to_json(m, cox_arena_str(arena, cox_buf_str(&wire)), COX_TRANSCODE_CAMEL, arena, &out, NULL) != COX_OK)
		out = NULL;
	cox_buf_fini(&wire);
	return out ? out : bare;
}

/* The assignment with those endpoints alone that the filter lets through. */
static const struct cox_json *assignment_cut(const struct cox_json *a, const struct cox_proxyconf_filter *f, struct cox_arena *arena)
{
	struct cox_json *copy = cox_json_clone(arena, a), *groups = (struct cox_json *)(uintptr_t)pc_get(copy, "endpoints");
	for (size_t g = 0; g < pc_count(groups); g++) {
		struct cox_json *list = (struct cox_json *)(uintptr_t)pc_get(&groups->items[g], "lb_endpoints");
		size_t kept = 0;
		for (size_t i = 0; i < pc_count(list); i++)
			if (endpoint_fits(&list->items[i], pc_str(a, "cluster_name"), f))
				list->items[kept++] = list->items[i];
		if (list)
			list->n = kept;
	}
	return copy;
}

static void hosts_select(const struct cox_json *clusters, const struct cox_proxyconf_filter *f, struct cox_arena *arena,
                         struct cox_json *all)
{
	const struct cox_json *list = pc_get(clusters, "cluster_statuses");
	for (size_t c = 0; c < pc_count(list); c++) {
		const struct cox_json *statuses = pc_get(&list->items[c], "host_statuses");
		bool fits = false;
		for (size_t i = 0; i < pc_count(statuses) && !fits; i++) {
			struct host h = host_read(&statuses->items[i], pc_str(&list->items[c], "name"), arena);
			fits = host_fits(&h, f);
		}
		if (fits)
			cox_json_push(arena, all, normal(kinds[COX_PROXYCONF_HOSTS].message, &list->items[c], arena));
	}
}

enum cox_rc cox_proxyconf_select(enum cox_proxyconf_what what, const struct cox_json *dump, const struct cox_proxyconf_filter *f,
                                 struct cox_arena *arena, struct cox_json **out, struct cox_err *err)
{
	struct pc_list list = { 0 };
	const struct cox_json *section = NULL;
	struct cox_json *all = cox_json_new_array(arena);
	COX_TRY(dump_check(what, dump, err));
	if (what == COX_PROXYCONF_SECRETS || what == COX_PROXYCONF_BOOTSTRAP) {
		COX_TRY(section_get(what, dump, &section, err));
		*out = (struct cox_json *)(uintptr_t)normal(kinds[what].message, section, arena);
		return COX_OK;
	}
	if (what == COX_PROXYCONF_ECDS) { /* the parts as one section */
		struct cox_json *one = cox_json_new_object(arena);
		for (size_t from = 0; (section = pc_section(dump, kinds[what].section, &from));) {
			const struct cox_json *whole = normal("envoy.admin.v3.EcdsConfigDump", section, arena),
			                      *filters = pc_get(whole, "ecds_filters");
			for (size_t i = 0; i < pc_count(filters); i++)
				cox_json_push(arena, all, &filters->items[i]);
		}
		if (all->n)
			cox_json_set(arena, one, COX_STR("ecdsFilters"), all);
		*out = one;
		return COX_OK;
	}
	if (what == COX_PROXYCONF_HOSTS) {
		hosts_select(dump, f, arena, all);
		*out = all;
		return COX_OK;
	}
	enum cox_rc rc = list_get(what, dump, f, false, &list, err);
	for (size_t i = 0; i < list.items.n && rc == COX_OK; i++) {
		const struct cox_json *v = list.items.p[i];
		cox_json_push(arena, all,
		              normal(kinds[what].message, what == COX_PROXYCONF_ENDPOINTS ? assignment_cut(v, f, arena) : v, arena));
	}
	cox_vec_fini(&list.items);
	if (rc == COX_OK)
		*out = all;
	return rc;
}

enum cox_rc cox_proxyconf_all(const struct cox_json *dump, const struct cox_proxyconf_filter *filter, bool headers, struct cox_buf *out,
                              struct cox_err *err)
{
	static const struct {
		enum cox_proxyconf_what what;
		const char *header;
	} parts[] = { { COX_PROXYCONF_BOOTSTRAP, "BOOTSTRAP" }, { COX_PROXYCONF_CLUSTERS, "CLUSTER" },
		      { COX_PROXYCONF_LISTENERS, "LISTENER" },  { COX_PROXYCONF_ROUTES, "ROUTE" },
		      { COX_PROXYCONF_SECRETS, "SECRET" },      { COX_PROXYCONF_ENDPOINTS, "ENDPOINTS" } };
	struct cox_proxyconf_filter f = *filter;
	f.names_kinds = true;
	for (size_t i = 0; i < COX_LEN(parts); i++) {
		if (i)
			cox_buf_append_char(out, '\n');
		if (headers)
			cox_buf_printf(out, "------ %s INFO ------\n\n", parts[i].header);
		COX_TRY(cox_proxyconf_table(parts[i].what, dump, &f, out, err));
	}
	return COX_OK;
}
