#include "tool/describe.h"

#include "base/vec.h"

static size_t count(const struct cox_json *list) { return list && list->type == COX_JSON_ARRAY ? list->n : 0; }
static struct cox_str name_of(const struct cox_json *o) { return cox_json_str_at(o, "metadata.name"); }
static struct cox_str ns_of(const struct cox_json *o) { return cox_json_str_at(o, "metadata.namespace"); }

/* Every label of `selector` is among `labels`. */
static bool selects(const struct cox_json *selector, const struct cox_json *labels)
{
	for (size_t i = 0; selector && selector->type == COX_JSON_OBJECT && i < selector->n; i++) {
		const struct cox_json *v = cox_json_get(labels, selector->members[i].key);
		if (!v || !cox_str_eq(v->text, selector->members[i].value.text))
			return false;
	}
	return true;
}

static bool service_has(const struct cox_json *service, const struct cox_json *pod)
{
	const struct cox_json *selector = cox_json_at(service, "spec.selector");
	return selector && selector->type == COX_JSON_OBJECT && selector->n && cox_str_eq(ns_of(service), ns_of(pod)) &&
	       selects(selector, cox_json_at(pod, "metadata.labels"));
}

/* "reviews", "reviews.shop", "reviews.shop.svc", "reviews.shop.svc.cluster.local" or "*.shop.svc..." as written in `ns`. */
static bool host_is(struct cox_str host, struct cox_str ns, const struct cox_json *service)
{
	struct cox_str rest = host, first = { 0 }, second = { 0 };
	if (cox_str_eq(host, COX_STR("*")))
		return true;
	(void)cox_str_next(&rest, '.', &first);
	bool has_ns = rest.p != NULL;
	if (has_ns)
		(void)cox_str_next(&rest, '.', &second);
	if (has_ns && rest.p && !cox_str_has_prefix(rest, COX_STR("svc")))
		return false; /* a name outside of the cluster */
	return (cox_str_eq(first, COX_STR("*")) || cox_str_eq(first, name_of(service))) && cox_str_eq(has_ns ? second : ns, ns_of(service));
}

/* --- ports -------------------------------------------------------------------------------------------------------- */

static void number_or_name_write(const struct cox_json *v, struct cox_buf *out)
{
	if (v)
		cox_buf_append_str(out, v->text);
}

/* By the name's beginning, or appProtocol, as the mesh takes it. */
static const char *protocol_of(const struct cox_json *port)
{
	static const char *const known[][2] = { { "http2", "HTTP2" },       { "http", "HTTP" },   { "https", "HTTPS" },
		                                { "grpc-web", "GRPC-Web" }, { "grpc", "GRPC" },   { "mongo", "Mongo" },
		                                { "mysql", "MySQL" },       { "redis", "Redis" }, { "tls", "TLS" },
		                                { "tcp", "TCP" },           { "udp", "UDP" } };
	struct cox_str app = cox_json_str_at(port, "appProtocol"), name = app.n ? app : cox_json_str_at(port, "name");
	for (size_t i = 0; i < COX_LEN(known); i++) {
		struct cox_str word = cox_str_of(known[i][0]);
		if (cox_str_has_prefix(name, word) && (name.n == word.n || name.p[word.n] == '-'))
			return known[i][1];
	}
	return cox_str_eq(cox_json_str_at(port, "protocol"), COX_STR("UDP")) ? "UDP" : "auto-detect";
}

static void service_write(const struct cox_json *service, struct cox_buf *out)
{
	const struct cox_json *ports = cox_json_at(service, "spec.ports");
	cox_buf_printf(out, "Service: %.*s\n", COX_FMT(name_of(service)));
	for (size_t i = 0; i < count(ports); i++) {
		const struct cox_json *target = cox_json_get(&ports->items[i], COX_STR("targetPort")),
		                      *port = cox_json_get(&ports->items[i], COX_STR("port"));
		struct cox_str name = cox_json_str_at(&ports->items[i], "name");
		cox_buf_printf(out, "   Port: %.*s%s", COX_FMT(name), name.n ? " " : "");
		number_or_name_write(port, out);
		cox_buf_printf(out, "/%s targets pod port ", protocol_of(&ports->items[i]));
		number_or_name_write(target ? target : port, out);
		cox_buf_append_char(out, '\n');
	}
}

/* --- rules ---------------------------------------------------------------------------------------------------------- */

static void subsets_write(const struct cox_json *rule, const struct cox_json *pod, struct cox_buf *out)
{
	const struct cox_json *subsets = cox_json_at(rule, "spec.subsets");
	struct cox_buf matching = { 0 }, others = { 0 };
	for (size_t i = 0; i < count(subsets); i++) {
		bool is = !pod || selects(cox_json_get(&subsets->items[i], COX_STR("labels")), cox_json_at(pod, "metadata.labels"));
		struct cox_buf *to = is ? &matching : &others;
		cox_buf_printf(to, "%s%.*s", to->n ? "," : "", COX_FMT(cox_json_str_at(&subsets->items[i], "name")));
	}
	if (count(subsets) && pod)
		cox_buf_printf(out, "   Matching subsets: %s\n", matching.n ? cox_buf_cstr(&matching) : "none");
	if (count(subsets) && !pod)
		cox_buf_printf(out, "   Subsets: %s\n", cox_buf_cstr(&matching));
	if (others.n)
		cox_buf_printf(out, "      (Non-matching subsets %s)\n", cox_buf_cstr(&others));
	cox_buf_fini(&matching);
	cox_buf_fini(&others);
}

static void policy_write(const struct cox_json *policy, struct cox_buf *out)
{
	static const char *const names[][2] = { { "tls", "TLS" },
		                                { "loadBalancer", "load balancer" },
		                                { "connectionPool", "connection pool" },
		                                { "outlierDetection", "outlier detection" },
		                                { "portLevelSettings", "port-level settings" } };
	size_t n = 0;
	for (size_t i = 0; i < COX_LEN(names); i++)
		if (cox_json_get(policy, cox_str_of(names[i][0])))
			cox_buf_printf(out, "%s%s", n++ ? "/" : "   Traffic Policy: ", names[i][1]);
	struct cox_str tls = cox_json_str_at(policy, "tls.mode");
	if (n)
		cox_buf_printf(out, "%s%.*s\n", tls.n ? ", TLS mode " : "", COX_FMT(tls));
	else
		cox_buf_append_cstr(out, "   No Traffic Policy\n");
}

static void destination_rules_write(const struct cox_json *service, const struct cox_json *pod, const struct cox_describe_world *w,
                                    struct cox_buf *out)
{
	for (size_t i = 0; i < count(w->destination_rules); i++) {
		const struct cox_json *rule = &w->destination_rules->items[i];
		struct cox_str host = cox_json_str_at(rule, "spec.host");
		if (!host_is(host, ns_of(rule), service))
			continue;
		cox_buf_printf(out, "DestinationRule: %.*s%s%.*s for \"%.*s\"\n", COX_FMT(name_of(rule)),
		               cox_str_eq(ns_of(rule), ns_of(service)) ? "" : ".",
		               cox_str_eq(ns_of(rule), ns_of(service)) ? 0 : (int)ns_of(rule).n, ns_of(rule).p ? ns_of(rule).p : "",
		               COX_FMT(host));
		subsets_write(rule, pod, out);
		policy_write(cox_json_at(rule, "spec.trafficPolicy"), out);
	}
}

static void match_write(const struct cox_json *match, struct cox_buf *out)
{
	static const char *const kinds[] = { "prefix", "exact", "regex" };
	const struct cox_json *uri = cox_json_get(match, COX_STR("uri")), *headers = cox_json_get(match, COX_STR("headers"));
	size_t start = out->n;
	for (size_t i = 0; i < COX_LEN(kinds); i++) {
		struct cox_str text = cox_json_str_at(uri, kinds[i]);
		if (text.n)
			cox_buf_printf(out, "%s %.*s", kinds[i], COX_FMT(text));
	}
	for (size_t i = 0; headers && headers->type == COX_JSON_OBJECT && i < headers->n; i++)
		cox_buf_printf(out, "%sheader %.*s", out->n > start ? ", " : "", COX_FMT(headers->members[i].key));
	if (out->n == start)
		cox_buf_append_cstr(out, "other conditions");
}

/* How much of a route's traffic goes to the service: "reviews/v1 80%". False: none. */
static bool destinations_write(const struct cox_json *route, struct cox_str ns, const struct cox_json *service, struct cox_buf *out)
{
	const struct cox_json *list = cox_json_get(route, COX_STR("route"));
	size_t start = out->n;
	for (size_t i = 0; i < count(list); i++) {
		const struct cox_json *weight = cox_json_get(&list->items[i], COX_STR("weight"));
		struct cox_str host = cox_json_str_at(&list->items[i], "destination.host"),
		               subset = cox_json_str_at(&list->items[i], "destination.subset");
		if (!host_is(host, ns, service))
			continue;
		cox_buf_printf(out, "%s%.*s%s%.*s", out->n > start ? ", " : "", COX_FMT(host), subset.n ? "/" : "", COX_FMT(subset));
		if (weight)
			cox_buf_printf(out, " %.*s%%", COX_FMT(weight->text));
	}
	return out->n > start;
}

static bool routes_write(const struct cox_json *vs, const char *kind, const char *label, const struct cox_json *service,
                         struct cox_buf *out)
{
	const struct cox_json *routes = cox_json_get(cox_json_get(vs, COX_STR("spec")), cox_str_of(kind));
	bool any = false;
	for (size_t i = 0; i < count(routes); i++) {
		const struct cox_json *matches = cox_json_get(&routes->items[i], COX_STR("match"));
		struct cox_buf to = { 0 };
		if (destinations_write(&routes->items[i], ns_of(vs), service, &to)) {
			any = true;
			cox_buf_printf(out, "   %s route %zu", label, i);
			if (!count(matches))
				cox_buf_append_cstr(out, ", all requests");
			for (size_t m = 0; m < count(matches); m++) {
				cox_buf_append_cstr(out, m ? " or " : ", ");
				match_write(&matches->items[m], out);
			}
			cox_buf_printf(out, ": to %s\n", cox_buf_cstr(&to));
		}
		cox_buf_fini(&to);
	}
	return any;
}

static bool names_host(const struct cox_json *vs, const struct cox_json *service)
{
	const struct cox_json *hosts = cox_json_at(vs, "spec.hosts");
	for (size_t i = 0; i < count(hosts); i++)
		if (!cox_str_eq(hosts->items[i].text, COX_STR("*")) && host_is(hosts->items[i].text, ns_of(vs), service))
			return true;
	return false;
}

static void virtual_services_write(const struct cox_json *service, const struct cox_describe_world *w, struct cox_buf *out)
{
	for (size_t i = 0; i < count(w->virtual_services); i++) {
		const struct cox_json *vs = &w->virtual_services->items[i], *gateways = cox_json_at(vs, "spec.gateways");
		struct cox_buf routes = { 0 };
		bool any = routes_write(vs, "http", "HTTP", service, &routes);
		any |= routes_write(vs, "tls", "TLS", service, &routes);
		any |= routes_write(vs, "tcp", "TCP", service, &routes);
		if (any || names_host(vs, service)) {
			cox_buf_printf(out, "VirtualService: %.*s%s%.*s\n", COX_FMT(name_of(vs)),
			               cox_str_eq(ns_of(vs), ns_of(service)) ? "" : ".",
			               cox_str_eq(ns_of(vs), ns_of(service)) ? 0 : (int)ns_of(vs).n, ns_of(vs).p ? ns_of(vs).p : "");
			for (size_t g = 0; g < count(gateways); g++)
				cox_buf_printf(out, "%s%.*s%s", g ? ", " : "   Gateways: ", COX_FMT(gateways->items[g].text),
				               g + 1 == gateways->n ? "\n" : "");
			if (any)
				cox_buf_append_str(out, cox_buf_str(&routes));
			else
				cox_buf_append_cstr(out, "   WARNING: none of its routes leads to this service\n");
		}
		cox_buf_fini(&routes);
	}
}

/* --- policies ---------------------------------------------------------------------------------------------------------- */

/* 2: of this workload, 1: of the namespace, 0: of the mesh; -1: it is for others. */
static int level_of(const struct cox_json *policy, const struct cox_json *pod, struct cox_str root_ns)
{
	const struct cox_json *labels = cox_json_at(policy, "spec.selector.matchLabels");
	bool has_selector = labels && labels->type == COX_JSON_OBJECT && labels->n;
	bool is_root = cox_str_eq(ns_of(policy), root_ns);
	if (!is_root && !cox_str_eq(ns_of(policy), ns_of(pod)))
		return -1;
	if (has_selector)
		return selects(labels, cox_json_at(pod, "metadata.labels")) ? 2 : -1;
	return is_root && !cox_str_eq(ns_of(pod), root_ns) ? 0 : 1;
}

static void peer_authentication_write(const struct cox_json *pod, const struct cox_describe_world *w, struct cox_buf *out)
{
	struct cox_str modes[3] = { { 0 } }, mode = COX_STR("PERMISSIVE");
	struct cox_buf applied = { 0 };
	for (size_t i = 0; i < count(w->peer_authentications); i++) {
		const struct cox_json *p = &w->peer_authentications->items[i];
		struct cox_str said = cox_json_str_at(p, "spec.mtls.mode");
		int level = level_of(p, pod, w->root_ns);
		if (level < 0)
			continue;
		if (said.n && !cox_str_eq(said, COX_STR("UNSET")))
			modes[level] = said;
		cox_buf_printf(&applied, "%s%.*s.%.*s", applied.n ? ", " : "", COX_FMT(name_of(p)), COX_FMT(ns_of(p)));
	}
	for (size_t i = 0; i < COX_LEN(modes); i++)
		if (modes[i].n)
			mode = modes[i];
	cox_buf_printf(out, "Effective PeerAuthentication:\n   Workload mTLS mode: %.*s\n", COX_FMT(mode));
	if (applied.n)
		cox_buf_printf(out, "Applied PeerAuthentication:\n   %s\n", cox_buf_cstr(&applied));
	cox_buf_fini(&applied);
}

static void authorization_write(const struct cox_json *pod, const struct cox_describe_world *w, struct cox_buf *out)
{
	size_t n = 0;
	for (size_t i = 0; i < count(w->authorization_policies); i++) {
		const struct cox_json *p = &w->authorization_policies->items[i];
		struct cox_str action = cox_json_str_at(p, "spec.action");
		if (level_of(p, pod, w->root_ns) < 0)
			continue;
		cox_buf_printf(out, "%s   %.*s.%.*s: %.*s, %zu rules\n", n++ ? "" : "AuthorizationPolicies:\n", COX_FMT(name_of(p)),
		               COX_FMT(ns_of(p)), COX_FMT(action.n ? action : COX_STR("ALLOW")), count(cox_json_at(p, "spec.rules")));
	}
}

/* --- the whole ------------------------------------------------------------------------------------------------------------ */

static void rule_off(struct cox_buf *out) { cox_buf_append_cstr(out, "--------------------\n"); }

static bool pod_write(const struct cox_json *pod, struct cox_buf *out)
{
	const struct cox_json *lists[] = { cox_json_at(pod, "spec.containers"), cox_json_at(pod, "spec.initContainers") };
	struct cox_str revision = { 0 }, status = { 0 };
	struct cox_arena a = { 0 };
	struct cox_json *parsed = NULL;
	bool has_proxy = false;
	size_t n = 0;
	const struct cox_json *annotations = cox_json_at(pod, "metadata.annotations");
	const struct cox_json *injected = cox_json_get(annotations, COX_STR("sidecar.istio.io/status")),
	                      *rev = cox_json_get(annotations, COX_STR("istio.io/rev"));
	status = injected ? injected->text : COX_STR("");
	if (status.n && cox_json_parse(&a, status, &parsed, NULL) == COX_OK)
		revision = cox_json_str_at(parsed, "revision");
	if (rev)
		revision = rev->text;
	cox_buf_printf(out, "Pod: %.*s\n   Pod Revision: %.*s\n", COX_FMT(name_of(pod)), COX_FMT(revision.n ? revision : COX_STR("none")));
	for (size_t l = 0; l < COX_LEN(lists); l++)
		for (size_t c = 0; c < count(lists[l]); c++) {
			const struct cox_json *ports = cox_json_get(&lists[l]->items[c], COX_STR("ports"));
			struct cox_str name = cox_json_str_at(&lists[l]->items[c], "name");
			has_proxy |= cox_str_eq(name, COX_STR("istio-proxy"));
			for (size_t p = 0; p < count(ports); p++) {
				const struct cox_json *port = cox_json_get(&ports->items[p], COX_STR("containerPort"));
				cox_buf_printf(out, "%s%.*s (%.*s)",
				               n++ ? ", " : "   Pod Ports: ", COX_FMT(port ? port->text : COX_STR("")), COX_FMT(name));
			}
		}
	if (n)
		cox_buf_append_char(out, '\n');
	if (!has_proxy)
		cox_buf_append_cstr(out, "WARNING: the pod has no proxy of the mesh\n");
	if (!cox_str_eq(cox_json_str_at(pod, "status.phase"), COX_STR("Running")))
		cox_buf_printf(out, "WARNING: the pod is %.*s\n", COX_FMT(cox_json_str_at(pod, "status.phase")));
	cox_arena_fini(&a);
	return has_proxy;
}

void cox_describe_pod(const struct cox_json *pod, const struct cox_describe_world *w, struct cox_buf *out)
{
	size_t services = 0;
	(void)pod_write(pod, out);
	for (size_t i = 0; i < count(w->services); i++) {
		const struct cox_json *service = &w->services->items[i];
		if (!service_has(service, pod))
			continue;
		services++;
		rule_off(out);
		service_write(service, out);
		destination_rules_write(service, pod, w, out);
		virtual_services_write(service, w, out);
	}
	rule_off(out);
	if (!services)
		cox_buf_append_cstr(out, "WARNING: no Service selects the pod\n");
	peer_authentication_write(pod, w, out);
	authorization_write(pod, w, out);
}

void cox_describe_service(const struct cox_json *service, const struct cox_json *pods, const struct cox_describe_world *w,
                          struct cox_buf *out)
{
	size_t n = 0, meshed = 0;
	service_write(service, out);
	destination_rules_write(service, NULL, w, out);
	virtual_services_write(service, w, out);
	for (size_t i = 0; i < count(pods); i++) {
		const struct cox_json *annotations = cox_json_at(&pods->items[i], "metadata.annotations");
		if (!service_has(service, &pods->items[i]))
			continue;
		n++;
		meshed += cox_json_get(annotations, COX_STR("sidecar.istio.io/status")) != NULL;
	}
	cox_buf_printf(out, "Pods: %zu, of which %zu in the mesh\n", n, meshed);
	if (!n)
		cox_buf_append_cstr(out, "WARNING: it selects no pod\n");
}
