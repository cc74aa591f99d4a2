/*
 * proxy - who a proxy is, from the node of its first message (protocol facts, section 2). Immutable after decoding.
 */
#ifndef COX_MODEL_PROXY_H
#define COX_MODEL_PROXY_H

#include "base/ref.h"
#include "codec/fields.h"

enum cox_proxy_type { COX_PROXY_SIDECAR, COX_PROXY_ROUTER };
/* Decided by node.extensions alone: any name that starts with "istio." means Istio's extras. */
enum cox_proxy_class { COX_CLASS_UPSTREAM, COX_CLASS_ISTIO };
enum cox_interception { COX_INTERCEPT_REDIRECT, COX_INTERCEPT_TPROXY, COX_INTERCEPT_NONE };

struct cox_proxy {
	struct cox_ref ref;
	struct cox_str id;         /* node id as sent */
	struct cox_str name, ns;   /* pod name and namespace (metadata NAMESPACE, else the first label of the DNS domain) */
	struct cox_str dns_domain; /* "default.svc.cluster.local" */
	enum cox_proxy_type type;
	enum cox_proxy_class klass;
	bool has_vhds; /* a non-empty extension list; used on delta streams only */
	bool has_sds;  /* false where metadata COXSWAIN_SDS is "none": nobody serves workload certificates, so no TLS that needs them */
	enum cox_interception interception;
	COX_LIST(struct cox_str) ips;   /* never empty; the first is the node id's or INSTANCE_IPS' first */
	COX_LIST(struct cox_kv) labels; /* LABELS, sorted */
	struct cox_str service_account, cluster_id, network, node_name, mesh_id, version /* ISTIO_VERSION */, workload;
	struct cox_str region, zone, sub_zone;
	struct cox_str canonical_name, canonical_revision; /* from labels, as Istio derives them; revision "latest" by default */
	bool dns_capture, dns_auto_allocate, http10;
	bool balances_inbound,
	    balances_outbound;       /* INBOUND_, OUTBOUND_LISTENER_EXACT_BALANCE: connections are spread over workers evenly */
	bool is_unprivileged;        /* UNPRIVILEGED_POD: it cannot listen below port 1024 */
	bool has_access_log_service; /* its bootstrap has the cluster: PROXY_CONFIG names envoyAccessLogService */
	struct cox_opt_i64 idle_timeout_ns;
	uint16_t http_proxy_port;
	struct cox_json *metadata; /* all of it, unknown keys too; in the same block */
	struct cox_arena arena;    /* holds all of the above */
};
/* From the node message as JSON (proto field names, as the transcoder writes it: id, cluster, metadata, locality, extensions[].name,
 * user_agent_name). COX_EINVAL: not four parts in the id, unknown type, no valid IP; the text names what is wrong. Gives *out. */
COX_MUST_USE enum cox_rc cox_proxy_build(const struct cox_json *node, struct cox_proxy **out, struct cox_err *err);
const struct cox_proxy *cox_proxy_ref(const struct cox_proxy *p);
void cox_proxy_unref(const struct cox_proxy *p);

/* What labels (sorted by key) say of a workload, for proxies and endpoints alike. Canonical name: `workload` where no label says; revision:
 * "latest". Locality: "region/zone/subzone" from topology.istio.io/locality or istio-locality (dots for slashes), or empty; in `arena` or
 * in the label. */
struct cox_str cox_canonical_name(const struct cox_kv *labels, size_t n, struct cox_str workload);
struct cox_str cox_canonical_revision(const struct cox_kv *labels, size_t n);
struct cox_str cox_locality_of_labels(const struct cox_kv *labels, size_t n, struct cox_arena *arena);

#endif
