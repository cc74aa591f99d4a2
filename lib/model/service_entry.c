#include "model/service_entry.h"
#include "model/tables_priv.h"

#include <stdio.h>

/* --- WorkloadEntry --- */

static const struct cox_field workload_entry_fields[] = {
	F(workload_entry, address, "address", STR, "IP address or DNS name, without a port; unix:///path for a socket.",
	  .pattern = "workloadAddress", .max_len = 253, UNIX_RULE),
	F(workload_entry, ports, "ports", I64_MAP, "Port numbers by the service's port names, where they differ.", .min = 1, .max = 65535,
	  .max_items = 128, PORT_NAMES_RULE),
	F(workload_entry, labels, "labels", STR_MAP, "Labels of the workload.", .pattern = "labels", .max_items = 256),
	F(workload_entry, network, "network", STR, "Network that it is in; needed where networks have gateways between them.",
	  .max_len = 2048),
	F(workload_entry, locality, "locality", STR, "Locality: region/zone/subzone.", .max_len = 2048),
	F(workload_entry, weight, "weight", I64, "Share of the traffic, relative to other endpoints.", NATURAL),
	F(workload_entry, service_account, "serviceAccount", STR, "Service account that it runs as.", .max_len = 253),
};
static void workload_entry_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_workload_entry *v = value;
	bool is_unix = cox_str_has_prefix(v->address, COX_STR("unix://"));
	if (!v->address.n && !v->network.n)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "address must be set (only with network may it be left out)");
	for (COX_EACH(struct cox_port_number, p, v->ports))
		if (cox_format_check("method", p->key))
			cox_diag_add(d, COX_SEV_ERROR, 0, path, "ports: \"%.*s\" is no name of a port: letters, digits and '-'",
			             COX_FMT(p->key));
	if (!v->address.n && v->network.n)
		cox_diag_add(d, COX_SEV_WARNING, 0, path, "without an address it is reached through the gateway of its network only");
	if (is_unix && v->ports.n)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "a unix socket has no ports");
}
MESSAGE(workload_entry, "WorkloadEntrySpec", "One workload outside Kubernetes, or one endpoint.", .check = workload_entry_check,
        RULES({ "has(self.network) || has(self.address)", "one of address, network must be set" }, UNIX_PORTS_RULE));

static const struct cox_field condition_state_fields[] = {
	F(condition_state, type, "type", STR, "Which condition."),
	F(condition_state, status, "status", STR, "True, False or Unknown."),
};
static MESSAGE(condition_state, "Condition", "A condition of the object.", .open = true);

static const struct cox_field workload_entry_status_fields[] = {
	F(workload_entry_status, conditions, "conditions", MSG, "Conditions; \"Healthy\" decides whether it gets traffic.", LIST,
	  SUB(condition_state)),
};
static MESSAGE(workload_entry_status, "WorkloadEntryStatus", "State.", .open = true);

static const struct cox_field workload_entry_object_fields[] = {
	F(workload_entry_object, spec, "spec", MSG, "One workload outside Kubernetes.", REQUIRED, SUB(workload_entry)),
	F(workload_entry_object, status, "status", MSG, "State.", .flags = COX_F_OUTPUT, SUB(workload_entry_status)),
};
OBJECT(workload_entry, workload_entry_object, "WorkloadEntry", "A workload outside Kubernetes, such as a virtual machine.", .open = true);

/* --- ServiceEntry --- */

static const struct cox_field service_entry_fields[] = {
	F(service_entry, hosts, "hosts", STR, "DNS names of the service; '*' may stand for the first labels.",
	  .flags = COX_F_LIST | COX_F_REQUIRED, .pattern = "hostWildcard", .max_items = 256,
	  ITEM_RULES({ "!(self in ['*'])", "the host \"*\" would take all traffic" })),
	F(service_entry, addresses, "addresses", STR, "Virtual addresses of the service, as IP or CIDR.", LIST, .pattern = "cidr",
	  .max_items = 256, .max_len = 64),
	F(service_entry, ports, "ports", MSG, "Ports of the service.", LIST, SUB(port), .max_items = 256,
	  RULES({ "self.all(a, self.filter(b, b.number == a.number).size() == 1)", "two ports have the same number" })),
	F(service_entry, location, "location", ENUM, "Whether it is part of the mesh.", ENUM("MESH_EXTERNAL", "MESH_INTERNAL")),
	F(service_entry, resolution, "resolution", ENUM, "Where its endpoints come from.",
	  ENUM("NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS")),
	F(service_entry, endpoints, "endpoints", MSG, "Its endpoints.", LIST, SUB(workload_entry), .max_items = 4096),
	F(service_entry, workload_selector, "workloadSelector", MSG, "Takes pods and WorkloadEntries of this namespace as endpoints.",
	  SUB(workload_selector)),
	F(service_entry, export_to, "exportTo", STR, "Namespaces that see it: '.', '*' or names.", LIST, .pattern = "exportTo"),
	F(service_entry, subject_alt_names, "subjectAltNames", STR, "Names of which its certificate must have one.", LIST),
};

static bool is_ip(struct cox_str s) { return cox_format_check("ip", s) == NULL; }
static bool is_unix(struct cox_str s) { return cox_str_has_prefix(s, COX_STR("unix://")); }

static void hosts_check(const struct cox_service_entry *v, const char *path, struct cox_diags *d)
{
	if (!v->hosts.n)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "hosts must not be empty");
	for (size_t i = 0; i < v->hosts.n; i++) {
		struct cox_str h = v->hosts.p[i];
		if (cox_str_eq(h, COX_STR("*")))
			cox_diag_add(d, COX_SEV_ERROR, 0, path,
			             "the host \"*\" would take all traffic; use outboundTrafficPolicy for that");
		else if (cox_model_host_is_wild(h) && v->resolution != COX_SE_NONE && v->resolution != COX_SE_DYNAMIC_DNS &&
		         !(v->resolution == COX_SE_STATIC && v->location == COX_SE_MESH_INTERNAL))
			cox_diag_add(d, COX_SEV_ERROR, 0, path, "the wildcard host %.*s needs resolution NONE or DYNAMIC_DNS", COX_FMT(h));
		if (cox_model_strs_has(v->hosts.p, i, h))
			cox_diag_add(d, COX_SEV_ERROR, 0, path, "the host %.*s stands twice in hosts", COX_FMT(h));
	}
}

static bool is_plain_tcp(struct cox_str protocol) { return !cox_model_protocol_is_http(protocol) && !cox_model_protocol_is_tls(protocol); }

static void ports_check(const struct cox_service_entry *v, const char *path, struct cox_diags *d)
{
	bool tcp = false;
	for (size_t i = 0; i < v->ports.n; i++) {
		const struct cox_port *p = &v->ports.p[i];
		tcp = tcp || is_plain_tcp(p->protocol);
		if (!p->name.n)
			cox_diag_add(d, COX_SEV_ERROR, 0, path, "ports: port %lld needs a name", (long long)p->number.v);
		if (p->target_port.set && v->resolution == COX_SE_NONE && p->target_port.v != p->number.v)
			cox_diag_add(d, COX_SEV_ERROR, 0, path, "ports: targetPort cannot be mapped with resolution NONE");
		for (size_t k = 0; k < i; k++) {
			if (p->name.n && cox_str_eq(p->name, v->ports.p[k].name))
				cox_diag_add(d, COX_SEV_ERROR, 0, path, "ports: two are named %.*s", COX_FMT(p->name));
			if (p->number.v == v->ports.p[k].number.v)
				cox_diag_add(d, COX_SEV_ERROR, 0, path, "ports: two have the number %lld", (long long)p->number.v);
		}
	}
	if (tcp && v->hosts.n > 1 && v->resolution != COX_SE_NONE)
		cox_diag_add(d, COX_SEV_ERROR, 0, path,
		             "several hosts need ports of HTTP or TLS: on a TCP port nothing says which host is meant");
	if (tcp && !v->addresses.n && v->resolution == COX_SE_NONE)
		cox_diag_add(d, COX_SEV_WARNING, 0, path, "a TCP port without addresses takes all connections to that port number");
}

static void endpoints_check(const struct cox_service_entry *v, const char *path, struct cox_diags *d)
{
	bool dns = v->resolution == COX_SE_DNS || v->resolution == COX_SE_DNS_ROUND_ROBIN;
	if (v->endpoints.n && v->workload_selector && v->workload_selector->labels.n)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "only one of endpoints, workloadSelector may be set");
	if ((v->resolution == COX_SE_NONE || v->resolution == COX_SE_DYNAMIC_DNS) && v->endpoints.n)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "resolution %s takes no endpoints",
		             v->resolution == COX_SE_NONE ? "NONE" : "DYNAMIC_DNS");
	if (v->resolution == COX_SE_STATIC && !v->endpoints.n && !v->workload_selector)
		cox_diag_add(d, COX_SEV_WARNING, 0, path,
		             "resolution STATIC has neither endpoints nor workloadSelector: nothing will answer");
	if (v->resolution == COX_SE_DNS_ROUND_ROBIN && v->endpoints.n > 1)
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "resolution DNS_ROUND_ROBIN takes at most one endpoint, not %zu", v->endpoints.n);
	for (COX_EACH(struct cox_workload_entry, e, v->endpoints)) {
		if (v->resolution == COX_SE_STATIC && e->address.n && !is_ip(e->address) && !is_unix(e->address))
			cox_diag_add(d, COX_SEV_ERROR, 0, path,
			             "endpoints: with resolution STATIC the address must be an IP address, not %.*s", COX_FMT(e->address));
		if (dns && is_unix(e->address))
			cox_diag_add(d, COX_SEV_ERROR, 0, path, "endpoints: a unix socket needs resolution STATIC");
		if (is_unix(e->address) && v->ports.n != 1)
			cox_diag_add(d, COX_SEV_ERROR, 0, path, "endpoints: with a unix socket there must be exactly one port");
		for (COX_EACH(struct cox_port_number, pn, e->ports)) {
			bool known = false;
			for (size_t i = 0; i < v->ports.n && !known; i++)
				known = cox_str_eq(v->ports.p[i].name, pn->key);
			if (!known)
				cox_diag_add(d, COX_SEV_ERROR, 0, path, "endpoints: ports names %.*s, which is none of ports",
				             COX_FMT(pn->key));
		}
	}
}

static void service_entry_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_service_entry *v = value;
	hosts_check(v, path, d);
	ports_check(v, path, d);
	endpoints_check(v, path, d);
	cox_model_export_check(v->export_to.p, v->export_to.n, true, path, d);
	for (COX_EACH(struct cox_str, a, v->addresses))
		if (cox_str_find(*a, '/') >= 0 && v->resolution != COX_SE_NONE && v->resolution != COX_SE_STATIC)
			cox_diag_add(d, COX_SEV_ERROR, 0, path, "addresses: the range %.*s needs resolution NONE or STATIC", COX_FMT(*a));
}
static MESSAGE(service_entry, "ServiceEntrySpec", "A service for the mesh's registry.", .check = service_entry_check,
               RULES({ "!(has(self.endpoints) && has(self.workloadSelector))", "only one of endpoints, workloadSelector may be set" },
                     { "!has(self.resolution) || self.resolution in ['NONE', 'STATIC'] || !has(self.addresses) || "
                       "self.addresses.all(a, !a.contains('/'))",
                       "a range in addresses needs resolution NONE or STATIC" },
                     { "!has(self.endpoints) || (has(self.resolution) && self.resolution != 'NONE')",
                       "resolution NONE takes no endpoints" },
                     { "!has(self.endpoints) || !has(self.resolution) || self.resolution != 'DNS_ROUND_ROBIN' || "
                       "size(self.endpoints) < 2",
                       "resolution DNS_ROUND_ROBIN takes at most one endpoint" }));

static const struct cox_field se_address_fields[] = {
	F(se_address, value, "value", STR, "The address."),
	F(se_address, host, "host", STR, "The host that it is for."),
};
static MESSAGE(se_address, "ServiceEntryAddress", "An address that was allocated.", .open = true);

static const struct cox_field service_entry_status_fields[] = {
	F(service_entry_status, addresses, "addresses", MSG, "Addresses that were allocated.", LIST, SUB(se_address), .max_items = 16),
};
static MESSAGE(service_entry_status, "ServiceEntryStatus", "State.", .open = true);

static const struct cox_field service_entry_object_fields[] = {
	F(service_entry_object, spec, "spec", MSG, "A service for the mesh's registry.", REQUIRED, SUB(service_entry)),
	F(service_entry_object, status, "status", MSG, "State.", .flags = COX_F_OUTPUT, SUB(service_entry_status)),
};
OBJECT(service_entry, service_entry_object, "ServiceEntry", "A service that Kubernetes does not know, outside the mesh or inside it.",
       .open = true);
