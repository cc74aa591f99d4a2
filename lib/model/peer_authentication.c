#include "model/peer_authentication.h"
#include "model/policy_priv.h"
#include "model/tables_priv.h"

#define MODES ENUM("UNSET", "DISABLE", "PERMISSIVE", "STRICT")

static const struct cox_field mtls_fields[] = {
	F(mtls, mode, "mode", ENUM, "STRICT takes mTLS only, PERMISSIVE clear text too, DISABLE no mTLS; UNSET inherits.", MODES),
};
static MESSAGE(mtls, "MutualTLS", "Which TLS is taken.");

static const struct cox_field port_mtls_fields[] = {
	F(port_mtls, mode, "mode", ENUM, "STRICT, PERMISSIVE, DISABLE; UNSET inherits from mtls.", MODES),
};
static MESSAGE(port_mtls, "MutualTLS", "Which TLS one port takes.");

static const struct cox_field peer_authentication_fields[] = {
	F(peer_authentication, selector, "selector", MSG,
	  "Workloads of this namespace; all of them by default, all of the mesh in the root namespace.", SUB(match_labels)),
	F(peer_authentication, mtls, "mtls", MSG, "Which TLS is taken; inherited from the namespace and from the mesh by default.",
	  SUB(mtls)),
	F(peer_authentication, port_level_mtls, "portLevelMtls", MSG_MAP,
	  "The same by port of the workload (not of the service); needs a selector.", SUB(port_mtls),
	  RULES({ "self.all(port, port.matches('^[1-9][0-9]{0,4}$') && int(port) < 65536)", "a port is a number from 1 to 65535" })),
};

uint16_t cox_port_mtls_port(const struct cox_port_mtls *p)
{
	uint64_t number;
	return cox_str_to_u64(p->key, &number) == COX_OK && number <= UINT16_MAX ? (uint16_t)number : 0;
}

static void peer_authentication_check(const void *value, const char *path, struct cox_diags *d)
{
	const struct cox_peer_authentication *v = value;
	cox_model_selector_check(v->selector, path, d);
	for (COX_EACH(struct cox_port_mtls, p, v->port_level_mtls))
		if (cox_port_mtls_port(p) == 0)
			cox_diag_add(d, COX_SEV_ERROR, 0, path, "portLevelMtls: \"%.*s\" is no port from 1 to 65535", COX_FMT(p->key));
	if (v->port_level_mtls.n > 0 && (!v->selector || v->selector->match_labels.n == 0))
		cox_diag_add(d, COX_SEV_ERROR, 0, path, "portLevelMtls needs selector.matchLabels: ports are those of chosen workloads");
}
static MESSAGE(peer_authentication, "PeerAuthenticationSpec", "Which TLS workloads take.", .check = peer_authentication_check,
               RULES({ "!has(self.portLevelMtls) || (has(self.selector) && has(self.selector.matchLabels) && "
                       "size(self.selector.matchLabels) > 0)",
                       "portLevelMtls needs selector.matchLabels: ports are those of chosen workloads" }));

static const struct cox_field peer_authentication_object_fields[] = {
	F(peer_authentication_object, spec, "spec", MSG, "Which TLS workloads take.", SUB(peer_authentication)),
};
OBJECT(peer_authentication, peer_authentication_object, "PeerAuthentication",
       "Which TLS workloads take on their own ports: of the mesh, a namespace, chosen workloads, or a port.", .open = true);
