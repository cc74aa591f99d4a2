/*
 * service - what the mesh knows of a service and of its endpoints, merged from Services, EndpointSlices, Pods, Nodes,
 * ServiceEntries and WorkloadEntries. Immutable, shared; unchanged ones keep their address over generations,
 * so pointers are identities of content while a reference is held.
 */
#ifndef COX_REGISTRY_SERVICE_H
#define COX_REGISTRY_SERVICE_H

#include "base/hash.h"
#include "base/ref.h"
#include "model/object.h"
#include "model/protocol.h"

enum cox_resolution {                      /* facts, section 7: which kind of Envoy cluster */
	              COX_RES_EDS,         /* endpoints known to us */
	              COX_RES_DNS,         /* STRICT_DNS */
	              COX_RES_DNS_RR,      /* LOGICAL_DNS */
	              COX_RES_PASSTHROUGH, /* ORIGINAL_DST: headless, or ServiceEntry NONE */
	              COX_RES_DYNAMIC_DNS, /* wildcard hosts, resolved per request */
	              COX_RES_ALIAS,       /* ExternalName to a service of the mesh: no cluster of its own */
};
enum cox_svc_origin { COX_SVC_KUBE, COX_SVC_ENTRY };
enum cox_distribution { COX_DIST_NONE, COX_DIST_SAME_ZONE, COX_DIST_SAME_NODE };

struct cox_export { /* who sees it */
	bool is_public;
	COX_LIST(struct cox_str) namespaces; /* sorted; with !is_public and none: nobody */
};
bool cox_export_is_visible(const struct cox_export *e, struct cox_str ns);
/* From an exportTo list ("*", ".", "~", names) written in namespace `own`; an empty list means `defaults`, an empty default everybody.
 * Names are borrowed, the array is in `arena`. */
struct cox_export cox_export_build(struct cox_arena *arena, const struct cox_str *list, size_t n, struct cox_str own,
                                   const struct cox_str *defaults, size_t default_n);

struct cox_svc_port {
	struct cox_str name;
	uint16_t port, target_port, node_port; /* target_port: as a number where it is one (ServiceEntry: targetPort or port), else 0 */
	struct cox_str target_name;            /* where targetPort is a name */
	enum cox_protocol protocol;
};

struct cox_svc {
	struct cox_ref ref;
	struct cox_hash hash;    /* of everything below */
	struct cox_str hostname; /* "reviews.default.svc.cluster.local", "*.example.com" */
	struct cox_str name, ns; /* for a ServiceEntry `name` is the hostname, `ns` the entry's namespace */
	enum cox_svc_origin origin;
	enum cox_resolution resolution;
	bool is_headless, is_external /* MESH_EXTERNAL or ExternalName to outside */, publish_not_ready,
	    is_node_local /* internalTrafficPolicy: Local */;
	bool is_node_port, has_selector;
	bool addresses_are_auto; /* allocated by us: part of the name table, of listeners only with DNS capture */
	enum cox_distribution distribution;
	COX_LIST(struct cox_str) addresses;  /* VIPs, may be CIDRs for ServiceEntry; empty for headless */
	COX_LIST(struct cox_svc_port) ports; /* in the order of the object */
	COX_LIST(struct cox_kv) labels, selector;
	COX_LIST(struct cox_str) subject_alt_names, aliases /* hostnames of ExternalName services that point here */;
	struct cox_str external_name; /* ExternalName */
	struct cox_export export_to;
	int64_t creation_ms;
	struct cox_str object_id;          /* "Service/default/reviews": what it came from */
	struct cox_str persistent_session; /* label istio.io/persistent-session: a cookie */
	struct cox_str persistent_session_header;
};

enum cox_health { COX_HEALTHY, COX_UNHEALTHY, COX_DRAINING };

/* One address behind one port of a service. */
struct cox_endpoint {
	struct cox_str address;   /* IP, a DNS name, or "unix:///path" */
	uint16_t port;            /* the endpoint's own port */
	struct cox_str port_name; /* the service port it belongs to, by name */
	uint16_t svc_port;        /* ... and by number; 0 in sets that serve several numbers under one name */
	enum cox_health health;
	uint32_t weight;                /* 0: not given (1) */
	COX_LIST(struct cox_kv) labels; /* the workload's */
	struct cox_str locality;        /* "region/zone/subzone" */
	struct cox_str network, cluster_id, node_name;
	struct cox_str ns, workload, service_account; /* service_account: full SPIFFE id, or empty */
	struct cox_str canonical_name, canonical_revision;
	struct cox_str hostname, subdomain; /* of pods in headless services */
	struct cox_str tls_mode;            /* "istio" where it speaks mTLS, else empty */
	struct cox_str pod_name;
	bool is_gateway; /* never of a set: translation puts a network's gateway in the place of the endpoints behind it */
};

/* All endpoints of a service, every port; sorted by (port_name, locality, address, port). */
struct cox_endpoint_set {
	struct cox_ref ref;
	struct cox_hash hash;
	/* Hash over what, beside the endpoints themselves, changes clusters or listeners (DESIGN decision 7): the service accounts,
	 * whether all speak mTLS, a headless service's addresses, the inline endpoints of a DNS cluster. Equal: the fast path is enough. */
	struct cox_hash shape;
	COX_LIST(struct cox_endpoint) items;
	COX_LIST(struct cox_str) accounts; /* distinct service accounts, sorted */
	bool all_tls;                      /* every one has tls_mode "istio" (and there is one) */
};

/* The address in 2001:2::/48 that goes with one of ours in 240.240.0.0/16, for proxies that have IPv6 alone; another address stays as it
 * is. The text is in `arena`. */
struct cox_str cox_auto_address_v6(struct cox_str v4, struct cox_arena *arena);

const struct cox_svc *cox_svc_ref(const struct cox_svc *s);
void cox_svc_unref(const struct cox_svc *s);
const struct cox_endpoint_set *cox_endpoint_set_ref(const struct cox_endpoint_set *s);
void cox_endpoint_set_unref(const struct cox_endpoint_set *s);

#endif
