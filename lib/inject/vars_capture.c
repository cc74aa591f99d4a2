/* The arguments of traffic capture (`istio-iptables`), or what a CNI plug-in reads in their place. */
#include "inject/inject_priv.h"

/* `ports` with `port` in it once; "0" is none. */
static struct cox_str with_port(struct inject_job *j, struct cox_str port, struct cox_str ports)
{
	struct cox_str rest = ports, part;
	struct cox_buf all = { 0 };
	if (port.n == 0 || cox_str_eq_cstr(port, "0"))
		return ports;
	while (cox_str_next(&rest, ',', &part)) {
		part = cox_str_trim(part);
		if (cox_str_eq(part, port)) {
			cox_buf_fini(&all);
			return ports;
		}
		if (part.n)
			cox_buf_printf(&all, "%.*s,", COX_FMT(part));
	}
	cox_buf_append_str(&all, port);
	struct cox_str out = cox_arena_str(j->arena, cox_buf_str(&all));
	cox_buf_fini(&all);
	return out;
}

static void push_pair(struct inject_job *j, struct cox_json *list, const char *flag, struct cox_str value)
{
	cox_json_push(j->arena, list, cox_json_new_str(j->arena, cox_str_of(flag)));
	cox_json_push(j->arena, list, cox_json_new_str(j->arena, value));
}

/* Flags that are given only where something is set. */
static void set_optional(struct inject_job *j)
{
	struct cox_json *args = cox_json_new_array(j->arena);
	static const struct {
		const char *flag, *annotation, *dotted;
	} rows[] = { { "-q", "traffic.sidecar.istio.io/includeOutboundPorts", "global.proxy.includeOutboundPorts" },
		     { "-o", "traffic.sidecar.istio.io/excludeOutboundPorts", "global.proxy.excludeOutboundPorts" },
		     { "-k", "istio.io/reroute-virtual-interfaces", NULL },
		     { "-c", "traffic.sidecar.istio.io/excludeInterfaces", NULL } };
	for (size_t i = 0; i < COX_LEN(rows); i++) {
		struct cox_str v = inject_setting(j, rows[i].annotation, rows[i].dotted, "");
		/* The older name of the same. */
		if (v.n == 0 && rows[i].flag[1] == 'k')
			v = inject_annotation(j, "traffic.sidecar.istio.io/kubevirtInterfaces", NULL);
		if (v.n > 0)
			push_pair(j, args, rows[i].flag, v);
	}
	inject_var(j, "captureArgs", args);
}

static void set_cni(struct inject_job *j, bool uses_cni)
{
	static const struct {
		const char *var, *from;
	} told[] = { { "cniInterceptionMode", "interceptionMode" },
		     { "cniIncludeRanges", "includeRanges" },
		     { "cniExcludeRanges", "excludeRanges" },
		     { "cniIncludePorts", "includePorts" },
		     { "cniExcludePorts", "excludePortsAsked" } };
	struct cox_json *more = cox_json_new_array(j->arena);
	const struct cox_json *dns = cox_json_at(j->proxy_config, "proxyMetadata.ISTIO_META_DNS_CAPTURE");
	if (inject_value_is_true(j, "global.logAsJson"))
		cox_json_push(j->arena, more, cox_json_new_str(j->arena, COX_STR("--log_as_json")));
	if (uses_cni) {
		/* The plug-in reads annotations; the init container only looks whether it did its work. */
		for (size_t i = 0; i < COX_LEN(told); i++) {
			const struct cox_json *v = cox_json_get(j->vars, cox_str_of(told[i].from));
			if (v && v->text.n)
				inject_var(j, told[i].var, v);
		}
		cox_json_push(j->arena, more, cox_json_new_str(j->arena, COX_STR("--run-validation")));
		cox_json_push(j->arena, more, cox_json_new_str(j->arena, COX_STR("--skip-rule-apply")));
		if (cox_str_eq_cstr(inject_value(j, "pilot.cni.provider"), "multus"))
			inject_var_str(j, "multusNetworks",
			               inject_append_network(j->arena, inject_annotation(j, "k8s.v1.cni.cncf.io/networks", NULL),
			                                     COX_STR("default/istio-cni")));
	} else if (inject_value_is_true(j, "global.proxy_init.forceApplyIptables")) {
		cox_json_push(j->arena, more, cox_json_new_str(j->arena, COX_STR("--force-apply")));
	}
	if (inject_value_is_true(j, "global.nativeNftables"))
		cox_json_push(j->arena, more, cox_json_new_str(j->arena, COX_STR("--native-nftables")));
	if (cox_str_eq_cstr(inject_json_text(j->arena, dns), "true"))
		cox_json_push(j->arena, more, cox_json_new_str(j->arena, COX_STR("--redirect-dns")));
	inject_var(j, "initArgs", more);
	inject_var(j, "usesCni", cox_json_new_bool(j->arena, uses_cni));
	inject_var_str(j, "initName", uses_cni ? COX_STR("istio-validation") : COX_STR("istio-init"));
	struct cox_json root = { .type = COX_JSON_NUMBER, .text = COX_STR("0") };
	inject_var(j, "initUid", uses_cni ? cox_json_get(j->vars, COX_STR("proxyUidNumber")) : &root);
	inject_var(j, "initGid", uses_cni ? cox_json_get(j->vars, COX_STR("proxyGidNumber")) : &root);
	if (!uses_cni) {
		struct cox_json *add = cox_json_new_array(j->arena);
		cox_json_push(j->arena, add, cox_json_new_str(j->arena, COX_STR("NET_ADMIN")));
		cox_json_push(j->arena, add, cox_json_new_str(j->arena, COX_STR("NET_RAW")));
		inject_var(j, "initCapabilities", add);
	}
}

void inject_vars_capture(struct inject_job *j)
{
	bool captures = !cox_str_eq_cstr(cox_json_get(j->vars, COX_STR("interceptionMode"))->text, "NONE");
	inject_var(j, "capture", cox_json_new_bool(j->arena, captures));
	struct cox_str listen = inject_json_text(j->arena, cox_json_get(j->c->mesh, COX_STR("proxyListenPort"))),
	               inbound = inject_json_text(j->arena, cox_json_get(j->c->mesh, COX_STR("proxyInboundListenPort")));
	inject_var_str(j, "listenPort", listen.n && !cox_str_eq_cstr(listen, "0") ? listen : COX_STR("15001"));
	inject_var_str(j, "inboundPort", inbound.n && !cox_str_eq_cstr(inbound, "0") ? inbound : COX_STR("15006"));
	inject_var_str(j, "includeRanges",
	               inject_setting(j, "traffic.sidecar.istio.io/includeOutboundIPRanges", "global.proxy.includeIPRanges", "*"));
	inject_var_str(j, "excludeRanges",
	               inject_setting(j, "traffic.sidecar.istio.io/excludeOutboundIPRanges", "global.proxy.excludeIPRanges", ""));
	inject_var_str(j, "includePorts",
	               inject_setting(j, "traffic.sidecar.istio.io/includeInboundPorts", "global.proxy.includeInboundPorts", "*"));
	struct cox_str status = cox_json_get(j->vars, COX_STR("statusPort"))->text;
	struct cox_str excluded =
	    with_port(j, status, inject_setting(j, "traffic.sidecar.istio.io/excludeInboundPorts", "global.proxy.excludeInboundPorts", ""));
	inject_var_str(j, "excludePortsAsked", excluded);
	inject_var_str(j, "excludePorts",
	               excluded.n ? cox_arena_printf(j->arena, "15090,15021,%.*s", COX_FMT(excluded)) : COX_STR("15090,15021"));
	set_optional(j);
	set_cni(j, inject_value_is_true(j, "pilot.cni.enabled") || inject_value_is_true(j, "istio_cni.enabled"));
}
