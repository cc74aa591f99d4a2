#include "tool/status.h"

#include "base/clock.h"
#include "base/vec.h"
#include "tool/diff_priv.h"
#include "tool/proxyconf_priv.h"
#include "tool/table.h"

#include <stdlib.h>
#include <time.h>

/* --- ages ------------------------------------------------------------------------------------------------- */

void cox_status_age(int64_t s, struct cox_buf *out)
{
	enum { MINUTE = 60, HOUR = 60 * MINUTE, DAY = 24 * HOUR };
	long long m = s / MINUTE, h = s / HOUR, d = s / DAY;
	if (s < 2 * MINUTE)
		cox_buf_printf(out, "%llds", (long long)(s < 0 ? 0 : s));
	else if (m < 10 && s % MINUTE)
		cox_buf_printf(out, "%lldm%llds", m, (long long)(s % MINUTE));
	else if (m < 180)
		cox_buf_printf(out, "%lldm", m);
	else if (h < 8 && m % 60)
		cox_buf_printf(out, "%lldh%lldm", h, m % 60);
	else if (h < 48)
		cox_buf_printf(out, "%lldh", h);
	else if (d < 8 && h % 24)
		cox_buf_printf(out, "%lldd%lldh", d, h % 24);
	else
		cox_buf_printf(out, "%lldd", d);
}

/* "2026-11-26T03:00:00.123Z"; -1: not of that form. */
static int64_t time_read(struct cox_str text)
{
	char copy[40];
	struct tm tm = { 0 };
	return strptime(cox_str_to_cstr(text, copy, sizeof(copy)), "%Y-%m-%dT%H:%M:%S", &tm) ? (int64_t)timegm(&tm) : -1;
}

/* --- the table --------------------------------------------------------------------------------------------- */

static const struct {
	const char *suffix, *name;
} types[] = { /* what is always shown, in istioctl's order; then the others by URL */
	      { "envoy.config.cluster.v3.Cluster", "CDS" },
	      { "envoy.config.listener.v3.Listener", "LDS" },
	      { "envoy.config.endpoint.v3.ClusterLoadAssignment", "EDS" },
	      { "envoy.config.route.v3.RouteConfiguration", "RDS" },
	      { "envoy.config.core.v3.TypedExtensionConfig", "ECDS" },
	      { "envoy.extensions.transport_sockets.tls.v3.Secret", "SDS" },
	      { "envoy.config.route.v3.VirtualHost", "VHDS" },
	      { "istio.networking.nds.v1.NameTable", "NDS" },
	      { "istio.mesh.v1alpha1.ProxyConfig", "PCDS" }
};

static struct cox_str type_name(struct cox_str url)
{
	for (size_t i = 0; i < COX_LEN(types); i++)
		if (cox_str_has_suffix(url, cox_str_of(types[i].suffix)))
			return cox_str_of(types[i].name);
	ptrdiff_t slash = cox_str_rfind(url, '/');
	return cox_str_sub(url, (size_t)(slash + 1), SIZE_MAX);
}

struct row {
	const struct cox_json *proxy;
	struct cox_str replica;
};

static int row_cmp(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	return cox_str_cmp(cox_json_str_at(x->proxy, "proxy"), cox_json_str_at(y->proxy, "proxy"));
}

static bool is_in(const struct cox_json *proxy, struct cox_str ns)
{
	struct cox_str name = cox_json_str_at(proxy, "proxy");
	ptrdiff_t dot = cox_str_rfind(name, '.');
	return !ns.n || cox_str_eq(cox_str_sub(name, (size_t)(dot + 1), SIZE_MAX), ns);
}

static const struct cox_json *state_of(const struct cox_json *proxy, const char *name)
{
	const struct cox_json *all = cox_json_get(proxy, COX_STR("resources"));
	for (size_t i = 0; all && all->type == COX_JSON_OBJECT && i < all->n; i++)
		if (cox_str_eq_cstr(type_name(all->members[i].key), name))
			return &all->members[i].value;
	return NULL;
}

static void state_cell(const struct cox_json *state, struct cox_table *t)
{
	struct cox_str text = cox_json_str_at(state, "state");
	int64_t sent_s = time_read(cox_json_str_at(state, "sentTime"));
	struct cox_buf b = { 0 };
	if (!state) {
		cox_table_cell(t, COX_STR("IGNORED"));
		return;
	}
	cox_buf_append_str(&b, cox_str_eq(text, COX_STR("NOT_SENT")) ? COX_STR("NOT SENT") : text);
	if (sent_s >= 0 && !cox_str_eq(text, COX_STR("NOT_SENT"))) {
		cox_buf_append_cstr(&b, " (");
		cox_status_age(cox_clock_wall_ms() / 1000 - sent_s, &b);
		cox_buf_append_char(&b, ')');
	}
	cox_table_cell(t, cox_buf_str(&b));
	cox_buf_fini(&b);
}

/* "4 (CDS,LDS,EDS,RDS)" */
static void subscribed_cell(const struct cox_json *proxy, struct cox_table *t)
{
	struct cox_buf b = { 0 };
	size_t n = 0;
	for (size_t i = 0; i < COX_LEN(types); i++)
		if (state_of(proxy, types[i].name))
			cox_buf_printf(&b, "%s%s", n++ ? "," : "", types[i].name);
	if (n)
		cox_table_cellf(t, "%zu (%s)", n, cox_buf_cstr(&b));
	else
		cox_table_cell(t, COX_STR("0"));
	cox_buf_fini(&b);
}

void cox_status_table(const struct cox_json *all, struct cox_str ns, bool is_verbose, struct cox_buf *out)
{
	COX_VEC(struct row) rows = { 0 };
	struct cox_table t = { 0 };
	for (size_t r = 0; r < all->n; r++) {
		const struct cox_json *list = &all->members[r].value;
		for (size_t i = 0; list->type == COX_JSON_ARRAY && i < list->n; i++)
			if (is_in(&list->items[i], ns))
				cox_vec_push(&rows, ((struct row){ &list->items[i], all->members[r].key }));
	}
	if (rows.n)
		qsort(rows.p, rows.n, sizeof(*rows.p), row_cmp);
	cox_table_cell(&t, COX_STR("NAME"));
	cox_table_cell(&t, COX_STR("CLUSTER"));
	for (size_t i = 0; is_verbose && i < COX_LEN(types); i++)
		cox_table_cell(&t, cox_str_of(types[i].name));
	cox_table_row(&t, is_verbose ? "ISTIOD\tVERSION" : "ISTIOD\tVERSION\tSUBSCRIBED TYPES");
	for (size_t i = 0; i < rows.n; i++) {
		const struct cox_json *p = rows.p[i].proxy;
		cox_table_cell(&t, cox_json_str_at(p, "proxy"));
		cox_table_cell(&t, cox_json_str_at(p, "cluster_id"));
		for (size_t k = 0; is_verbose && k < COX_LEN(types); k++)
			state_cell(state_of(p, types[k].name), &t);
		cox_table_cell(&t, rows.p[i].replica);
		cox_table_cell(&t, cox_json_str_at(p, "istio_version"));
		if (!is_verbose)
			subscribed_cell(p, &t);
		cox_table_row_end(&t);
	}
	cox_table_write(&t, 5, out);
	cox_table_fini(&t);
	cox_vec_fini(&rows);
}

/* --- versions ------------------------------------------------------------------------------------------------ */

struct version {
	struct cox_str text;
	size_t count;
};
struct versions {
	COX_VEC(struct version) list;
};

static int version_cmp(const void *a, const void *b)
{
	return cox_str_cmp(((const struct version *)a)->text, ((const struct version *)b)->text);
}

static void version_count(struct versions *v, struct cox_str text)
{
	text = text.n ? text : COX_STR("unknown");
	for (size_t i = 0; i < v->list.n; i++)
		if (cox_str_eq(v->list.p[i].text, text)) {
			v->list.p[i].count++;
			return;
		}
	cox_vec_push(&v->list, ((struct version){ text, 1 }));
}

/* /version is an object that has it, or Istio's text: "VERSION-REVISION-Clean". */
static struct cox_str plane_version(const struct cox_json *answer)
{
	if (answer->type == COX_JSON_STRING) {
		struct cox_str v = cox_str_trim(answer->text);
		for (int part = 0; part < 2 && cox_str_rfind(v, '-') > 0; part++)
			v = cox_str_sub(v, 0, (size_t)cox_str_rfind(v, '-'));
		return v;
	}
	struct cox_str text = cox_json_str_at(answer, "version");
	return text.n ? text : cox_json_str_at(answer, "Info.version");
}

static void versions_write(struct versions *v, const char *label, bool counts, struct cox_buf *out)
{
	if (v->list.n)
		qsort(v->list.p, v->list.n, sizeof(*v->list.p), version_cmp);
	if (v->list.n)
		cox_buf_printf(out, "%s version: ", label);
	for (size_t i = 0; i < v->list.n; i++) {
		cox_buf_printf(out, "%s%.*s", i ? ", " : "", COX_FMT(v->list.p[i].text));
		if (counts)
			cox_buf_printf(out, " (%zu proxies)", v->list.p[i].count);
	}
	if (v->list.n)
		cox_buf_append_char(out, '\n');
	cox_vec_fini(&v->list);
}

void cox_status_versions(const struct cox_json *proxies, const struct cox_json *planes, const char *client, struct cox_buf *out)
{
	struct versions control = { 0 }, data = { 0 };
	cox_buf_printf(out, "client version: %s\n", client);
	for (size_t i = 0; planes && i < planes->n; i++)
		version_count(&control, plane_version(&planes->members[i].value));
	versions_write(&control, "control plane", false, out);
	for (size_t r = 0; proxies && r < proxies->n; r++)
		for (size_t i = 0; i < pc_count(&proxies->members[r].value); i++)
			version_count(&data, cox_json_str_at(&proxies->members[r].value.items[i], "istio_version"));
	versions_write(&data, "data plane", true, out);
}

static struct cox_json *str_member(struct cox_arena *a, struct cox_json *o, const char *key, struct cox_str v)
{
	return cox_json_set(a, o, cox_str_of(key), cox_json_new_str(a, v));
}

struct cox_json *cox_status_versions_tree(const struct cox_json *proxies, const struct cox_json *planes, const char *client,
                                          struct cox_arena *a)
{
	struct cox_json *out = cox_json_new_object(a), *info = cox_json_new_object(a), *mesh = cox_json_new_array(a),
	                *data = cox_json_new_array(a);
	str_member(a, info, "version", cox_str_of(client));
	cox_json_set(a, out, COX_STR("clientVersion"), info);
	for (size_t i = 0; planes && i < planes->n; i++) {
		struct cox_json *one = cox_json_new_object(a), *of = cox_json_new_object(a);
		str_member(a, one, "Component", COX_STR("istiod"));
		str_member(a, one, "ID", planes->members[i].key);
		str_member(a, of, "version", plane_version(&planes->members[i].value));
		cox_json_set(a, one, COX_STR("Info"), of);
		cox_json_push(a, mesh, one);
	}
	for (size_t r = 0; proxies && r < proxies->n; r++)
		for (size_t i = 0; i < pc_count(&proxies->members[r].value); i++) {
			const struct cox_json *p = &proxies->members[r].value.items[i];
			struct cox_json *one = cox_json_new_object(a);
			str_member(a, one, "ID", cox_json_str_at(p, "proxy"));
			str_member(a, one, "IstioVersion", cox_json_str_at(p, "istio_version"));
			cox_json_push(a, data, one);
		}
	if (planes)
		cox_json_set(a, out, COX_STR("meshVersion"), mesh);
	if (proxies)
		cox_json_set(a, out, COX_STR("dataPlaneVersion"), data);
	return out;
}

/* --- one proxy and its Envoy --------------------------------------------------------------------------------- */

enum { SHOWN_MAX = 40, VALUE_BYTES = 90 };

static const struct cox_json *by_name(const struct cox_json *list, const struct cox_json *like)
{
	for (size_t i = 0; i < list->n; i++)
		if (cox_str_eq(pc_str(&list->items[i], "name"), pc_str(like, "name")))
			return &list->items[i];
	return NULL;
}

static void value_write(struct cox_buf *out, const struct cox_json *v)
{
	struct cox_buf text = { 0 };
	if (v)
		cox_json_write(&text, v, 0, true);
	if (text.n > VALUE_BYTES)
		cox_buf_printf(out, "%.*s...", VALUE_BYTES, text.p);
	else
		cox_buf_append_str(out, v ? cox_buf_str(&text) : COX_STR("(nothing)"));
	cox_buf_fini(&text);
}

static void leaves_write(struct cox_str name, const struct cox_json *leaves, struct cox_buf *out)
{
	cox_buf_printf(out, "  ~ %.*s\n", COX_FMT(name));
	for (size_t i = 0; i < leaves->n && i < SHOWN_MAX; i++) {
		cox_buf_printf(out, "      %.*s: ", COX_FMT(cox_json_str_at(&leaves->items[i], "path")));
		value_write(out, cox_json_get(&leaves->items[i], COX_STR("before")));
		cox_buf_append_cstr(out, " -> ");
		value_write(out, cox_json_get(&leaves->items[i], COX_STR("after")));
		cox_buf_append_char(out, '\n');
	}
	if (leaves->n > SHOWN_MAX)
		cox_buf_printf(out, "      and %zu more\n", leaves->n - SHOWN_MAX);
}

/* Order of virtual hosts and routes counts as it is; that of resources does not. */
static bool lists_compare(const struct cox_json *sent, const struct cox_json *has, struct cox_arena *a, struct cox_buf *out)
{
	bool same = true;
	for (size_t i = 0; i < sent->n; i++) {
		const struct cox_json *other = by_name(has, &sent->items[i]);
		struct cox_json *leaves = cox_json_new_array(a);
		if (!other) {
			cox_buf_printf(out, "  - %.*s (sent, and the Envoy has it not)\n", COX_FMT(pc_str(&sent->items[i], "name")));
			same = false;
			continue;
		}
		diff_json(a, COX_STR(""), &sent->items[i], other, leaves);
		if (leaves->n)
			leaves_write(pc_str(&sent->items[i], "name"), leaves, out);
		same &= leaves->n == 0;
	}
	for (size_t i = 0; i < has->n; i++)
		if (!by_name(sent, &has->items[i])) {
			cox_buf_printf(out, "  + %.*s (the Envoy has it, and it was not sent)\n", COX_FMT(pc_str(&has->items[i], "name")));
			same = false;
		}
	return same;
}

/* Only what comes by xDS: an Envoy has static ones from its bootstrap as well. */
static enum cox_rc dynamic_get(const struct cox_json *dump, size_t what, struct cox_arena *a, struct cox_json **out, struct cox_err *err)
{
	static const char *const parts[] = { "static_clusters", "static_listeners", "static_route_configs" };
	static const enum cox_proxyconf_what whats[] = { COX_PROXYCONF_CLUSTERS, COX_PROXYCONF_LISTENERS, COX_PROXYCONF_ROUTES };
	static const char *const sections[] = { "ClustersConfigDump", "ListenersConfigDump", "RoutesConfigDump" };
	static const struct cox_proxyconf_filter all;
	struct cox_json *copy = cox_json_clone(a, dump);
	size_t from = 0;
	struct cox_json *section = (struct cox_json *)(uintptr_t)pc_section(copy, sections[what], &from);
	struct cox_json *statics = (struct cox_json *)(uintptr_t)pc_get(section, parts[what]);
	if (statics)
		statics->n = 0;
	enum cox_rc rc = cox_proxyconf_select(whats[what], copy, &all, a, out, err);
	if (rc == COX_ENOTFOUND) {
		*out = cox_json_new_array(a);
		rc = COX_OK;
	}
	return rc;
}

bool cox_status_compare(const struct cox_json *sent, const struct cox_json *has, struct cox_arena *a, struct cox_buf *out,
                        struct cox_err *err)
{
	static const char *const names[] = { "Clusters", "Listeners", "Routes" };
	bool same = true;
	for (size_t i = 0; i < COX_LEN(names); i++) {
		struct cox_json *lists[2] = { NULL, NULL };
		struct cox_buf text = { 0 };
		if (dynamic_get(sent, i, a, &lists[0], err) != COX_OK || dynamic_get(has, i, a, &lists[1], err) != COX_OK)
			return false;
		bool is_equal = lists_compare(lists[0], lists[1], a, &text);
		cox_buf_printf(out, "%s %s\n", names[i], is_equal ? "Match" : "Don't Match");
		cox_buf_append_str(out, cox_buf_str(&text));
		cox_buf_fini(&text);
		same &= is_equal;
	}
	return same;
}
