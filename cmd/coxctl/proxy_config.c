/* coxctl proxy-config: what an Envoy has. */
#include "proxy.h"

#include "tool/proxyconf.h"

#include <stdio.h>

#define DUMP "/config_dump?include_eds"

static bool is_form(const struct cox_cli *cli, const char *form) { return cox_str_eq_cstr(cox_cli_str(cli, "output"), form); }

/* A pod, --file or --proxy-admin: exactly what is needed. */
static int args_check(const struct cox_cli *cli)
{
	bool elsewhere = cox_cli_has(cli, "file") || cox_cli_has(cli, "proxy-admin");
	if (!elsewhere && cox_cli_arg_count(cli) == 0)
		return cox_cli_wrong(cli, "a pod, --file or --proxy-admin is needed");
	if (cox_cli_has(cli, "file") && (cox_cli_arg_count(cli) || cox_cli_has(cli, "proxy-admin")))
		return cox_cli_wrong(cli, "--file goes with no pod and no --proxy-admin");
	return 0;
}

static int show(struct cox_cli *cli, enum cox_proxyconf_what what, const struct cox_proxyconf_filter *f)
{
	struct proxy p = { 0 };
	struct cox_json *dump = NULL, *tree = NULL;
	struct cox_buf out = { 0 };
	struct cox_err err = { 0 };
	int status = args_check(cli);
	if (status)
		return status;
	enum cox_rc rc =
	    proxy_json(cli, cox_cli_arg(cli, 0), what == COX_PROXYCONF_HOSTS ? "/clusters?format=json" : DUMP, &p, &dump, &err);
	bool is_short = is_form(cli, "short");
	if (rc == COX_OK)
		rc = is_short ? cox_proxyconf_table(what, dump, f, &out, &err) : cox_proxyconf_select(what, dump, f, &p.arena, &tree, &err);
	if (rc != COX_OK)
		status = cox_cli_fail(cli, &err);
	else
		status = is_short ? cox_cli_print(cli, &out) : verb_print_tree(cli, tree);
	cox_buf_fini(&out);
	proxy_close(&p);
	return status;
}

static int cluster(struct cox_cli *cli)
{
	struct cox_proxyconf_filter f = { .fqdn = cox_cli_str(cli, "fqdn"),
		                          .port = cox_cli_i64(cli, "port"),
		                          .subset = cox_cli_str(cli, "subset"),
		                          .direction = cox_cli_str(cli, "direction") };
	return show(cli, COX_PROXYCONF_CLUSTERS, &f);
}

static int listener(struct cox_cli *cli)
{
	struct cox_proxyconf_filter f = { .address = cox_cli_str(cli, "address"),
		                          .port = cox_cli_i64(cli, "port"),
		                          .type = cox_cli_str(cli, "type"),
		                          .is_brief = !cox_cli_is(cli, "verbose") };
	return show(cli, COX_PROXYCONF_LISTENERS, &f);
}

static int route(struct cox_cli *cli)
{
	struct cox_proxyconf_filter f = { .name = cox_cli_str(cli, "name"), .is_brief = !cox_cli_is(cli, "verbose") };
	return show(cli, COX_PROXYCONF_ROUTES, &f);
}

static int endpoints(struct cox_cli *cli, enum cox_proxyconf_what what)
{
	struct cox_proxyconf_filter f = { .address = cox_cli_str(cli, "address"),
		                          .port = cox_cli_i64(cli, "port"),
		                          .cluster = cox_cli_str(cli, "cluster"),
		                          .status = cox_cli_str(cli, "status") };
	return show(cli, what, &f);
}
static int endpoint(struct cox_cli *cli) { return endpoints(cli, COX_PROXYCONF_HOSTS); }
static int eds(struct cox_cli *cli) { return endpoints(cli, COX_PROXYCONF_ENDPOINTS); }

static int bootstrap(struct cox_cli *cli) { return show(cli, COX_PROXYCONF_BOOTSTRAP, &(struct cox_proxyconf_filter){ 0 }); }
static int secret(struct cox_cli *cli) { return show(cli, COX_PROXYCONF_SECRETS, &(struct cox_proxyconf_filter){ 0 }); }
static int ecds(struct cox_cli *cli) { return show(cli, COX_PROXYCONF_ECDS, &(struct cox_proxyconf_filter){ 0 }); }

static int all(struct cox_cli *cli)
{
	struct cox_proxyconf_filter f = { .fqdn = cox_cli_str(cli, "fqdn"),
		                          .port = cox_cli_i64(cli, "port"),
		                          .subset = cox_cli_str(cli, "subset"),
		                          .direction = cox_cli_str(cli, "direction"),
		                          .address = cox_cli_str(cli, "address"),
		                          .type = cox_cli_str(cli, "type"),
		                          .name = cox_cli_str(cli, "name"),
		                          .is_brief = !cox_cli_is(cli, "verbose") };
	struct proxy p = { 0 };
	struct cox_json *dump = NULL;
	struct cox_buf out = { 0 };
	struct cox_err err = { 0 };
	int status = args_check(cli);
	if (status)
		return status;
	enum cox_rc rc = proxy_json(cli, cox_cli_arg(cli, 0), DUMP, &p, &dump, &err);
	if (rc == COX_OK && is_form(cli, "short"))
		rc = cox_proxyconf_all(dump, &f, cox_cli_is(cli, "with-headers"), &out, &err);
	if (rc != COX_OK)
		status = cox_cli_fail(cli, &err);
	else
		status = is_form(cli, "short") ? cox_cli_print(cli, &out) : verb_print_tree(cli, dump);
	cox_buf_fini(&out);
	proxy_close(&p);
	return status;
}

/* --- log -------------------------------------------------------------------------------------------------------- */

/* "http:debug,redis:info" or "debug": one request each. */
static enum cox_rc levels_set(const struct cox_reach *envoy, struct cox_str levels, struct cox_arena *arena, struct cox_str *out,
                              struct cox_err *err)
{
	static const char *const known[] = { "trace", "debug", "info", "warning", "error", "critical", "off" };
	struct cox_str rest = levels, one;
	while (cox_str_next(&rest, ',', &one)) {
		ptrdiff_t colon = cox_str_rfind(one, ':');
		struct cox_str level = colon < 0 ? one : cox_str_sub(one, (size_t)colon + 1, SIZE_MAX);
		bool is_known = false;
		if (cox_str_eq(level, COX_STR("warn")))
			level = COX_STR("warning");
		if (cox_str_eq(level, COX_STR("none")))
			level = COX_STR("off");
		for (size_t i = 0; i < COX_LEN(known); i++)
			is_known |= cox_str_eq_cstr(level, known[i]);
		if (!is_known)
			return cox_err_set(err, COX_EINVAL, NULL, "\"%.*s\" is no level: trace, debug, info, warning, error, critical, off",
			                   COX_FMT(level));
		struct cox_str path = colon < 0 ? cox_arena_printf(arena, "/logging?level=%.*s", COX_FMT(level))
		                                : cox_arena_printf(arena, "/logging?%.*s=%.*s", (int)colon, one.p, COX_FMT(level));
		COX_TRY(cox_reach_ask(envoy, "POST", path, arena, out, err));
	}
	return COX_OK;
}

static int log_levels(struct cox_cli *cli)
{
	struct proxy p = { 0 };
	struct cox_str text = { 0 };
	struct cox_err err = { 0 };
	struct cox_str levels = cox_cli_is(cli, "reset") ? COX_STR("warning") : cox_cli_str(cli, "level");
	if (!cox_cli_arg_count(cli) && !cox_cli_has(cli, "proxy-admin"))
		return cox_cli_wrong(cli, "a pod or --proxy-admin is needed");
	if (cox_cli_is(cli, "reset") && cox_cli_has(cli, "level"))
		return cox_cli_wrong(cli, "--reset and --level exclude each other");
	enum cox_rc rc = proxy_open(cli, cox_cli_arg(cli, 0), &p, &err);
	if (rc == COX_OK)
		rc = levels.n ? levels_set(&p.envoy, levels, &p.arena, &text, &err)
		              : cox_reach_ask(&p.envoy, "POST", COX_STR("/logging"), &p.arena, &text, &err);
	int status = rc == COX_OK ? 0 : cox_cli_fail(cli, &err);
	if (rc == COX_OK && p.name.n)
		printf("%.*s:\n", COX_FMT(p.name));
	if (rc == COX_OK)
		(void)fwrite(text.p, 1, text.n, stdout);
	proxy_close(&p);
	return status;
}

/* --- rootca-compare ------------------------------------------------------------------------------------------------ */

static enum cox_rc roots_get(struct cox_cli *cli, size_t at, struct proxy *p, struct cox_str *out, struct cox_err *err)
{
	struct cox_json *dump = NULL;
	COX_TRY(proxy_open(cli, cox_cli_arg(cli, at), p, err));
	COX_TRY(cox_reach_json(&p->envoy, COX_STR(DUMP), &p->arena, &dump, err));
	enum cox_rc rc = cox_proxyconf_roots(dump, &p->arena, out, err);
	if (rc != COX_OK)
		cox_err_wrap(err, "%.*s", COX_FMT(p->name));
	return rc;
}

static int rootca_compare(struct cox_cli *cli)
{
	struct proxy p[2] = { { 0 } };
	struct cox_str roots[2];
	struct cox_err err = { 0 };
	enum cox_rc rc = COX_OK;
	for (size_t i = 0; i < 2 && rc == COX_OK; i++)
		rc = roots_get(cli, i, &p[i], &roots[i], &err);
	int status = rc == COX_OK ? 0 : cox_cli_fail(cli, &err);
	if (rc == COX_OK) {
		bool same = cox_str_eq(roots[0], roots[1]);
		printf("Both [%.*s] and [%.*s] have the %s ROOTCA%s\n", COX_FMT(p[0].name), COX_FMT(p[1].name),
		       same ? "identical" : "non identical",
		       same ? ", theoretically the connectivity between them is available"
		            : ", theoretically the connectivity between them is unavailable");
		status = same ? 0 : 1;
	}
	for (size_t i = 0; i < 2; i++)
		proxy_close(&p[i]);
	return status;
}

/* --- the table ------------------------------------------------------------------------------------------------------ */

#define POD_ARG .args = "[[TYPE/]NAME[.NAMESPACE]]", .arg_max = 1
#define COMMON(fallback, forms) \
	VERB_FLAG_OUTPUT(forms, fallback), VERB_FLAG_FILE("a saved answer of Envoy instead of a live one; - is standard input"), PROXY_FLAGS
#define FQDN                                                                        \
	{                                                                           \
		"fqdn", 0, "TEXT", NULL, "only clusters with this in their name", 0 \
	}
#define SUBSET                                                                 \
	{                                                                      \
		"subset", 0, "TEXT", NULL, "only clusters with this subset", 0 \
	}
#define DIRECTION                                                                              \
	{                                                                                      \
		"direction", 0, "inbound|outbound", NULL, "only clusters of this direction", 0 \
	}
#define PORT(what)                                                       \
	{                                                                \
		"port", 0, "PORT", NULL, "only " what " of this port", 0 \
	}
#define ADDRESS(what)                                                             \
	{                                                                         \
		"address", 0, "ADDRESS", NULL, "only " what " of this address", 0 \
	}
#define TYPE                                                                                   \
	{                                                                                      \
		"type", 0, "TYPE", NULL, "only listeners of this kind: HTTP, TCP, HTTP+TCP", 0 \
	}
#define VERBOSE                                                                  \
	{                                                                        \
		"verbose", 0, NULL, "true", "every match; false: a line each", 0 \
	}
#define STATUS                                                                                   \
	{                                                                                        \
		"status", 0, "STATUS", NULL, "only endpoints that are so: healthy, unhealthy", 0 \
	}
#define CLUSTER                                                                 \
	{                                                                       \
		"cluster", 0, "NAME", NULL, "only endpoints of this cluster", 0 \
	}
#define FLAGS(...) \
	(const struct cox_cli_flag[]) { __VA_ARGS__, VERB_FLAGS_END }

const struct cox_cli_verb verb_proxy_config = {
	.path = "proxy-config|pc",
	.summary = "what an Envoy has: clusters, listeners, routes, endpoints, secrets, bootstrap, log levels",
	.text =
	    "The proxy is a pod ([TYPE/]NAME[.NAMESPACE]), asked through the cluster (it needs create and get on pods/portforward), a file with\n"
	    "Envoy's own answer, or --proxy-admin ADDRESS.\n",
};
const struct cox_cli_verb verb_proxy_config_all = {
	.path = "proxy-config|pc all|a",
	POD_ARG,
	.summary = "everything, one table after the other",
	.flags = FLAGS(COMMON("short", "json|yaml|short"), FQDN, SUBSET, DIRECTION, PORT("clusters and listeners"), ADDRESS("listeners"),
	               TYPE, { "name", 0, "NAME", NULL, "only the route configuration of this name", 0 }, VERBOSE,
	               { "with-headers", 0, NULL, NULL, "say what each table is", 0 }),
	.run = all,
};
const struct cox_cli_verb verb_proxy_config_bootstrap = {
	.path = "proxy-config|pc bootstrap|b",
	POD_ARG,
	.summary = "with what it was started",
	.flags = FLAGS(COMMON("json", "json|yaml|short")),
	.run = bootstrap,
};
const struct cox_cli_verb verb_proxy_config_cluster = {
	.path = "proxy-config|pc cluster|clusters|c",
	POD_ARG,
	.summary = "clusters: to what services it can send",
	.examples = "  coxctl proxy-config cluster web-0.shop --direction outbound --port 9080\n"
	            "  coxctl pc c deploy/web -n shop --fqdn reviews -o yaml\n"
	            "  coxctl pc c --file config_dump.json\n",
	.flags = FLAGS(COMMON("short", "json|yaml|short"), FQDN, PORT("clusters"), SUBSET, DIRECTION),
	.run = cluster,
};
const struct cox_cli_verb verb_proxy_config_ecds = {
	.path = "proxy-config|pc ecds|ec",
	POD_ARG,
	.summary = "filters that came by themselves",
	.flags = FLAGS(COMMON("short", "json|yaml|short")),
	.run = ecds,
};
const struct cox_cli_verb verb_proxy_config_eds = {
	.path = "proxy-config|pc eds",
	POD_ARG,
	.summary = "endpoints as they were sent, with locality",
	.flags = FLAGS(COMMON("short", "json|yaml|short"), ADDRESS("endpoints"), PORT("endpoints"), CLUSTER, STATUS),
	.run = eds,
};
const struct cox_cli_verb verb_proxy_config_endpoint = {
	.path = "proxy-config|pc endpoint|endpoints|ep",
	POD_ARG,
	.summary = "endpoints, with what outlier detection makes of them",
	.text = "--file takes the answer to /clusters?format=json.\n",
	.flags = FLAGS(COMMON("short", "json|yaml|short"), ADDRESS("endpoints"), PORT("endpoints"), CLUSTER, STATUS),
	.run = endpoint,
};
const struct cox_cli_verb verb_proxy_config_listener = {
	.path = "proxy-config|pc listener|listeners|l",
	POD_ARG,
	.summary = "listeners: what they match and where it leads",
	.flags = FLAGS(COMMON("short", "json|yaml|short"), ADDRESS("listeners"), PORT("listeners"), TYPE, VERBOSE),
	.run = listener,
};
const struct cox_cli_verb verb_proxy_config_log = {
	.path = "proxy-config|pc log|o",
	POD_ARG,
	.summary = "levels of Envoy's loggers: show or set them",
	.examples = "  coxctl proxy-config log web-0.shop --level http:debug,redis:debug\n"
	            "  coxctl proxy-config log web-0.shop --reset\n",
	.flags = FLAGS(
	    { "level", 0, "[LOGGER:]LEVEL,...", NULL, "trace, debug, info, warning, error, critical, off; without LOGGER: of all", 0 },
	    { "reset", 'r', NULL, NULL, "back to warning", 0 }, PROXY_FLAGS),
	.run = log_levels,
};
const struct cox_cli_verb verb_proxy_config_rootca_compare = {
	.path = "proxy-config|pc rootca-compare|rc",
	.args = "POD[.NAMESPACE] POD[.NAMESPACE]",
	.arg_min = 2,
	.arg_max = 2,
	.summary = "do two proxies trust the same roots? Exit status 1: they do not",
	.flags = FLAGS(PROXY_FLAGS),
	.run = rootca_compare,
};
const struct cox_cli_verb verb_proxy_config_route = {
	.path = "proxy-config|pc route|routes|r",
	POD_ARG,
	.summary = "routes, and the VirtualService that each is from",
	.flags =
	    FLAGS(COMMON("short", "json|yaml|short"), { "name", 0, "NAME", NULL, "only the route configuration of this name", 0 }, VERBOSE),
	.run = route,
};
const struct cox_cli_verb verb_proxy_config_secret = {
	.path = "proxy-config|pc secret|secrets|s",
	POD_ARG,
	.summary = "certificates that it has, and until when they are good",
	.flags = FLAGS(COMMON("short", "json|yaml|short")),
	.run = secret,
};
