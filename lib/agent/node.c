#include "agent/node_priv.h"

#include "codec/fields.h"

#include <arpa/inet.h>
#include <stdio.h>

static const struct cox_str default_discovery = COX_STR_INIT("istiod.istio-system.svc:15012");
static const struct cox_str default_discovery_plain = COX_STR_INIT("istiod.istio-system.svc:15010");

static void set_str(struct cox_arena *arena, struct cox_json *object, const char *key, struct cox_str value)
{
	if (value.n != 0)
		cox_json_set(arena, object, cox_str_of(key), cox_json_new_str(arena, value));
}

/* --- labels and annotations as the downward API writes them: key="value", Go-quoted ------- */

static struct cox_str unquote(struct cox_arena *arena, struct cox_str s)
{
	if (s.n < 2 || s.p[0] != '"' || s.p[s.n - 1] != '"')
		return s;
	char *to = cox_arena_alloc(arena, s.n);
	size_t n = 0;
	for (size_t i = 1; i + 1 < s.n; i++) {
		char c = s.p[i];
		if (c == '\\' && i + 2 < s.n) {
			c = s.p[++i];
			c = c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
		}
		to[n++] = c;
	}
	return cox_str_make(to, n);
}

static struct cox_json *parse_pairs(struct cox_arena *arena, struct cox_str text)
{
	struct cox_json *object = cox_json_new_object(arena);
	struct cox_str rest = text, line;
	while (rest.p != NULL && cox_str_next(&rest, '\n', &line)) {
		ptrdiff_t eq = cox_str_find(line, '=');
		if (eq <= 0)
			continue;
		struct cox_str value = unquote(arena, cox_str_sub(line, (size_t)eq + 1, line.n));
		if (cox_str_is_utf8(value) && cox_str_is_utf8(cox_str_sub(line, 0, (size_t)eq)))
			cox_json_set(arena, object, cox_str_sub(line, 0, (size_t)eq), cox_json_new_str(arena, value));
	}
	return object;
}

/* --- ISTIO_META_* and ISTIO_METAJSON_* ---------------------------------------------------- */

static void merge(struct cox_arena *arena, struct cox_json *into, const struct cox_json *from)
{
	for (size_t i = 0; from->type == COX_JSON_OBJECT && i < from->n; i++)
		cox_json_set(arena, into, from->members[i].key, &from->members[i].value);
}

/* The name of an ISTIO_METAJSON_ variable does not count, its members do; except for those that are maps themselves. */
static enum cox_rc add_json(struct cox_arena *arena, struct cox_json *metadata, struct cox_json *labels, struct cox_json *annotations,
                            struct cox_str name, struct cox_str text, struct cox_err *err)
{
	struct cox_json *value;
	enum cox_rc rc = cox_json_parse(arena, text, &value, err);
	if (rc == COX_OK && value->type != COX_JSON_OBJECT)
		rc = cox_err_set(err, COX_EINVAL, NULL, "not a JSON object");
	if (rc != COX_OK) {
		cox_err_wrap(err, "ISTIO_METAJSON_%.*s", COX_FMT(name));
		return rc;
	}
	if (cox_str_eq(name, COX_STR("LABELS")))
		merge(arena, labels, value);
	else if (cox_str_eq(name, COX_STR("ANNOTATIONS")))
		merge(arena, annotations, value);
	else if (cox_str_eq(name, COX_STR("PLATFORM_METADATA")))
		cox_json_set(arena, metadata, name, value);
	else
		merge(arena, metadata, value);
	return COX_OK;
}

static enum cox_rc add_env(const struct cox_agent_bootstrap *b, struct cox_arena *arena, struct cox_json *metadata, struct cox_json *labels,
                           struct cox_json *annotations, struct cox_err *err)
{
	for (const char *const *e = b->env; e && *e; e++) {
		struct cox_str line = cox_str_of(*e);
		ptrdiff_t eq = cox_str_find(line, '=');
		if (eq <= 0 || !cox_str_has_prefix(line, COX_STR("ISTIO_META")))
			continue;
		struct cox_str name = cox_str_sub(line, 0, (size_t)eq), value = cox_str_sub(line, (size_t)eq + 1, line.n);
		if (value.n > COX_AGENT_TEXT_BYTES_MAX || !cox_str_is_utf8(value))
			return cox_err_set(err, COX_EINVAL, NULL, "%.*s: too long or not UTF-8", COX_FMT(name));
		if (cox_str_has_prefix(name, COX_STR("ISTIO_META_")))
			cox_json_set(arena, metadata, cox_str_sub(name, 11, name.n), cox_json_new_str(arena, value));
		else if (cox_str_has_prefix(name, COX_STR("ISTIO_METAJSON_")))
			COX_TRY(add_json(arena, metadata, labels, annotations, cox_str_sub(name, 15, name.n), value, err));
	}
	return COX_OK;
}

/* --- PROXY_CONFIG ------------------------------------------------------------------------- */

enum cox_rc cox_agent_config_find(const struct cox_agent_bootstrap *b, struct cox_arena *arena, struct cox_agent_config *out,
                                  struct cox_err *err)
{
	return cox_agent_config_read(b, parse_pairs(arena, b->annotations), arena, out, err);
}

static enum cox_rc read_duration(struct cox_str text, const char *where, int64_t *ms, struct cox_err *err)
{
	int64_t ns;
	if (text.n == 0)
		return COX_OK;
	if (cox_duration_parse(text, &ns) != COX_OK || ns < 0)
		return cox_err_set(err, COX_EINVAL, where, "\"%.*s\" is not a duration", COX_FMT(text));
	*ms = ns / 1000000;
	return COX_OK;
}

/* So many threads as the container has processors, where nobody says a number. */
static int cpu_limit(const struct cox_agent_bootstrap *b)
{
	uint64_t v;
	return cox_str_to_u64(cox_agent_env(b->env, "ISTIO_CPU_LIMIT"), &v) == COX_OK && v >= 1 && v <= 1024 ? (int)v : 0;
}

static int64_t ms_of(const struct cox_opt_i64 *ns, int64_t otherwise) { return ns->set ? ns->v / 1000000 : otherwise; }

enum cox_rc cox_agent_settings_read(const struct cox_agent_bootstrap *b, struct cox_arena *arena, struct cox_agent_settings *out,
                                    struct cox_err *err)
{
	struct cox_agent_config c;
	struct cox_agent_settings s = { .drain_min_ms = 5000 };
	COX_TRY(cox_agent_config_find(b, arena, &c, err));
	const struct cox_proxy_config *v = c.values;
	s.drain_ms = ms_of(&v->termination_drain_duration_ns, 5000);
	s.listener_drain_s = ms_of(&v->drain_duration_ns, 45000) / 1000;
	s.log_flush_ms = ms_of(&v->file_flush_interval_ns, 1000);
	s.log_flush_kb = v->file_flush_min_size_kb.set ? v->file_flush_min_size_kb.v : 64;
	COX_TRY(read_duration(cox_agent_env(b->env, "MINIMUM_DRAIN_DURATION"), "MINIMUM_DRAIN_DURATION", &s.drain_min_ms, err));
	s.exit_on_zero = cox_str_eq(cox_agent_env(b->env, "EXIT_ON_ZERO_ACTIVE_CONNECTIONS"), COX_STR("true"));
	s.is_envoy_off = cox_str_eq(cox_agent_env(b->env, "DISABLE_ENVOY"), COX_STR("true"));
	if (v->concurrency.set && v->concurrency.v > 1024)
		return cox_err_set(err, COX_EINVAL, "concurrency", "must be a number from 0 to 1024");
	s.concurrency = v->concurrency.set ? (int)v->concurrency.v : cpu_limit(b);
	s.admin_port = v->admin_port.set ? (uint16_t)v->admin_port.v : 15000;
	s.status_port = v->status_port.set ? (uint16_t)v->status_port.v : 15020;
	s.binary = v->binary_path;
	s.config_dir = v->config_path;
	s.bootstrap_file = v->custom_config_file;
	s.warnings = c.diags;
	*out = s;
	return COX_OK;
}

/* --- statistics that the pod wants kept --------------------------------------------------- */

static struct cox_agent_list collect(struct cox_arena *arena, const struct cox_json *config, const char *member, struct cox_str annotation)
{
	const struct cox_json *list = cox_json_get(cox_json_get(config, COX_STR("proxyStatsMatcher")), cox_str_of(member));
	size_t count = list && list->type == COX_JSON_ARRAY ? list->n : 0, n = 0;
	for (size_t i = 0; i < annotation.n; i++)
		count += annotation.p[i] == ',';
	struct cox_str *items = COX_ARENA_ARRAY(arena, struct cox_str, count + 1);
	for (size_t i = 0; list && list->type == COX_JSON_ARRAY && i < list->n; i++)
		if (list->items[i].type == COX_JSON_STRING && list->items[i].text.n != 0)
			items[n++] = list->items[i].text;
	struct cox_str rest = annotation, item;
	while (annotation.n != 0 && rest.p != NULL && cox_str_next(&rest, ',', &item))
		if ((item = cox_str_trim(item)).n != 0)
			items[n++] = item;
	return (struct cox_agent_list){ items, n };
}

static struct cox_str first_of(struct cox_str a, struct cox_str b) { return a.n ? a : b; }

static struct cox_str text_of(const struct cox_json *object, const char *key)
{
	const struct cox_json *v = cox_json_get(object, cox_str_of(key));
	return v && v->type == COX_JSON_STRING ? v->text : COX_STR("");
}

/* The proxy's name in traces. */
static struct cox_str service_name(struct cox_arena *arena, const struct cox_proxy_config *v, const struct cox_json *labels,
                                   struct cox_str workload, struct cox_str ns)
{
	struct cox_str canonical = first_of(text_of(labels, "service.istio.io/canonical-name"), text_of(labels, "app.kubernetes.io/name"));
	struct cox_str app = first_of(text_of(labels, "app"), workload);
	canonical = first_of(canonical, app);
	if (v->service_cluster.n)
		return v->service_cluster;
	if (v->tracing_service_name != COX_NAME_APP_AND_NAMESPACE)
		app = canonical;
	if (!app.n)
		return COX_STR("istio-proxy");
	return v->tracing_service_name == COX_NAME_CANONICAL ? app : cox_arena_printf(arena, "%.*s.%.*s", COX_FMT(app), COX_FMT(ns));
}

static void set_stats(struct cox_arena *arena, const struct cox_json *config, const struct cox_json *annotations,
                      struct cox_agent_node *out)
{
	out->stats_prefixes = collect(arena, config, "inclusionPrefixes", text_of(annotations, "sidecar.istio.io/statsInclusionPrefixes"));
	out->stats_suffixes = collect(arena, config, "inclusionSuffixes", text_of(annotations, "sidecar.istio.io/statsInclusionSuffixes"));
	out->stats_regexps = collect(arena, config, "inclusionRegexps", text_of(annotations, "sidecar.istio.io/statsInclusionRegexps"));
}

/* --- identity ----------------------------------------------------------------------------- */

static enum cox_rc need(const struct cox_agent_bootstrap *b, const char *name, struct cox_str *out, struct cox_err *err)
{
	*out = cox_str_trim(cox_agent_env(b->env, name));
	if (out->n == 0)
		return cox_err_set(err, COX_EINVAL, name, "is not set; the pod's specification must pass it");
	if (cox_str_find(*out, '~') >= 0 || out->n > 253 || !cox_str_is_utf8(*out))
		return cox_err_set(err, COX_EINVAL, name, "\"%.*s\" cannot be part of a node id", COX_FMT(*out));
	return COX_OK;
}

/* The first address names the node; with two families the others are in INSTANCE_IPS. */
static enum cox_rc check_address(struct cox_str ips, struct cox_str *first, struct cox_err *err)
{
	struct cox_str rest = ips, item;
	*first = COX_STR("");
	while (rest.p != NULL && cox_str_next(&rest, ',', &item)) {
		char text[64];
		unsigned char bytes[16];
		item = cox_str_trim(item);
		cox_str_to_cstr(item, text, sizeof(text));
		if (inet_pton(AF_INET, text, bytes) != 1 && inet_pton(AF_INET6, text, bytes) != 1)
			return cox_err_set(err, COX_EINVAL, "INSTANCE_IP", "\"%.*s\" is not an address", COX_FMT(item));
		if (first->n == 0)
			*first = item;
	}
	return COX_OK;
}

/* "region/zone/sub-zone", or with dots where there is no slash: a label cannot hold a slash. */
static void set_locality(struct cox_str label, struct cox_str parts[3])
{
	char sep = cox_str_find(label, '/') >= 0 ? '/' : '.';
	struct cox_str rest = label;
	for (size_t i = 0; i < 3 && label.n != 0 && rest.p != NULL; i++)
		if (!cox_str_next(&rest, sep, &parts[i]))
			break;
}

static void set_metadata(const struct cox_agent_bootstrap *b, struct cox_arena *arena, struct cox_json *m, struct cox_str pod,
                         struct cox_str ns, struct cox_str ips)
{
	set_str(arena, m, "NAME", pod);
	set_str(arena, m, "NAMESPACE", ns);
	set_str(arena, m, "INSTANCE_IPS", ips);
	set_str(arena, m, "SERVICE_ACCOUNT", cox_agent_env(b->env, "SERVICE_ACCOUNT"));
	set_str(arena, m, "NODE_NAME", cox_agent_env(b->env, "NODE_NAME"));
	set_str(arena, m, "COXSWAIN_AGENT", COX_STR("true"));
	/* Nobody serves certificates: the control plane leaves out TLS that would wait for one for ever. */
	if (b->is_identity_off)
		set_str(arena, m, "COXSWAIN_SDS", COX_STR("none"));
	char port[8];
	snprintf(port, sizeof(port), "%u", (unsigned)b->health_port);
	set_str(arena, m, "ENVOY_STATUS_PORT", cox_arena_str(arena, cox_str_of(port)));
	snprintf(port, sizeof(port), "%u", (unsigned)b->prometheus_port);
	set_str(arena, m, "ENVOY_PROMETHEUS_PORT", cox_arena_str(arena, cox_str_of(port)));
}

static enum cox_rc set_identity(const struct cox_agent_bootstrap *b, struct cox_arena *arena, const struct cox_json *labels,
                                struct cox_json *m, struct cox_agent_node *out, struct cox_err *err)
{
	struct cox_str pod, ns, ips, ip;
	COX_TRY(need(b, "POD_NAME", &pod, err));
	COX_TRY(need(b, "POD_NAMESPACE", &ns, err));
	COX_TRY(need(b, "INSTANCE_IP", &ips, err));
	COX_TRY(check_address(ips, &ip, err));
	set_metadata(b, arena, m, pod, ns, ips);
	out->id = cox_arena_printf(arena, "%.*s~%.*s~%.*s.%.*s~%.*s.svc.%.*s", COX_FMT(b->type), COX_FMT(ip), COX_FMT(pod), COX_FMT(ns),
	                           COX_FMT(ns), COX_FMT(b->domain));
	out->cluster = service_name(arena, out->config.values, labels, cox_agent_env(b->env, "ISTIO_META_WORKLOAD_NAME"), ns);
	set_locality(text_of(labels, "istio-locality"), out->locality);
	if (!out->locality[1].n)
		out->locality[1] = out->config.values->availability_zone;
	return COX_OK;
}

/* What the settings say and no variable: injection makes variables of it, a machine outside of Kubernetes has the settings alone. */
static void set_fallbacks(struct cox_arena *arena, const struct cox_proxy_config *v, struct cox_json *metadata)
{
	for (COX_EACH(struct cox_kv, kv, v->proxy_metadata)) {
		struct cox_str name = cox_str_sub(kv->key, 11, kv->key.n);
		if (cox_str_has_prefix(kv->key, COX_STR("ISTIO_META_")) && !cox_json_get(metadata, name))
			set_str(arena, metadata, cox_str_to_cstr(name, cox_arena_alloc(arena, name.n + 1), name.n + 1), kv->value);
	}
	if (!cox_json_get(metadata, COX_STR("MESH_ID")))
		set_str(arena, metadata, "MESH_ID", v->mesh_id);
	if (!cox_json_get(metadata, COX_STR("INTERCEPTION_MODE")))
		set_str(arena, metadata, "INTERCEPTION_MODE", v->interception_mode);
}

enum cox_rc cox_agent_node_build(const struct cox_agent_bootstrap *b, struct cox_arena *arena, struct cox_agent_node *out,
                                 struct cox_err *err)
{
	if (b->labels.n > COX_AGENT_TEXT_BYTES_MAX || b->annotations.n > COX_AGENT_TEXT_BYTES_MAX)
		return cox_err_set(err, COX_ELIMIT, NULL, "labels or annotations are longer than %d bytes", COX_AGENT_TEXT_BYTES_MAX);
	struct cox_json *labels = parse_pairs(arena, b->labels), *annotations = parse_pairs(arena, b->annotations);
	struct cox_json *metadata = cox_json_new_object(arena), *extra = cox_json_new_object(arena);
	COX_TRY(add_env(b, arena, extra, labels, annotations, err));
	COX_TRY(cox_agent_config_read(b, annotations, arena, &out->config, err));
	COX_TRY(set_identity(b, arena, labels, metadata, out, err));
	merge(arena, metadata, extra);
	set_fallbacks(arena, out->config.values, metadata);
	set_stats(arena, out->config.json, annotations, out);
	if (out->config.json->n != 0)
		cox_json_set(arena, metadata, COX_STR("PROXY_CONFIG"), out->config.json);
	cox_json_set(arena, metadata, COX_STR("LABELS"), labels);
	if (annotations->n != 0)
		cox_json_set(arena, metadata, COX_STR("ANNOTATIONS"), annotations);
	out->metadata = metadata;
	out->annotations = annotations;
	return COX_OK;
}

enum cox_rc cox_agent_control_plane_read(const struct cox_agent_bootstrap *b, struct cox_arena *arena, struct cox_agent_control_plane *out,
                                         struct cox_err *err)
{
	struct cox_agent_config c;
	COX_TRY(cox_agent_config_find(b, arena, &c, err));
	out->is_plain = c.values->control_plane_auth_policy == COX_PLANE_NONE;
	struct cox_str fallback = out->is_plain || b->is_identity_off ? default_discovery_plain : default_discovery;
	out->discovery = first_of(b->discovery, first_of(c.values->discovery_address, fallback));
	return COX_OK;
}

enum cox_rc cox_agent_proxy_config_find(const struct cox_agent_bootstrap *b, const char *member, struct cox_arena *arena,
                                        const struct cox_json **out, struct cox_err *err)
{
	struct cox_agent_config c;
	COX_TRY(cox_agent_config_find(b, arena, &c, err));
	*out = cox_json_get(c.json, cox_str_of(member));
	return COX_OK;
}
