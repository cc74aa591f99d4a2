/*
 * kube_source - every kind of model/kind.def from one kube-apiserver, as events.
 * Thread: everything on the client's loop, which is the config loop.
 * Nothing is emptied because the server cannot be reached: the sink hears stale(true) and what is known stays in force.
 * Left out before they enter memory: namespaces that no discovery selector matches, Secrets and ConfigMaps that nobody wants (the
 * mesh configuration is wanted), managedFields, and what the tables of core kinds do not name.
 */
#ifndef COX_SOURCE_KUBE_SOURCE_H
#define COX_SOURCE_KUBE_SOURCE_H

#include "kube/watch.h"
#include "model/mesh.h"
#include "source/events.h"

struct cox_kube_source;

struct cox_kube_source_spec {
	struct cox_str cluster_id; /* the origin of every object */
	struct cox_str root_ns;    /* where ConfigMap `istio` is; empty: istio-system */
	struct cox_str revision;   /* of this control plane: ConfigMap `istio-<revision>`; empty or "default": `istio` */
	struct cox_str only_ns;    /* not empty: namespaced objects of this namespace alone (the mesh configuration comes all the same) */
	/* Comma lists of "plural.group" and "*.group": kinds with a CRD that count as not there, unless they are in `included`. */
	struct cox_str ignored, included;
	unsigned list_limit;     /* objects per page; 0: 500 */
	size_t max_object_bytes; /* 0: 16 MiB */
	int64_t digest_ms;       /* how often everything is compared with a fresh list; 0: 10 min, negative: never */
	int64_t digest_grace_ms; /* 0: 10 s */
	bool has_no_crd_watch;   /* kinds that appear later are found by slow polling alone */
};

/* Borrows `client` until close; copies `spec` and `sink`. Namespaces and the mesh configuration are listed first and flushed, so
 * that cox_kube_source_set_discovery(), called from the sink, comes before anything else is listed. */
void cox_kube_source_open(struct cox_kube_client *client, const struct cox_kube_source_spec *spec, const struct cox_source_sink *sink,
                          struct cox_kube_source **out);
/* The sink is not called any more. Not from inside the sink. Accepts NULL. */
void cox_kube_source_close(struct cox_kube_source **s);

/* The mesh's discoverySelectors; none: all namespaces. Copies. May be called from the sink; takes effect after its return. */
void cox_kube_source_set_discovery(struct cox_kube_source *s, const struct cox_label_selector *selectors, size_t count);
/* Somebody refers to this Secret or ConfigMap: it is watched until it is unwanted as often as it was wanted; then the sink hears that it is
 * gone. Secrets of the CA are never watched (COX_EDENIED). May be called from the sink. */
COX_MUST_USE enum cox_rc cox_kube_source_want(struct cox_kube_source *s, enum cox_kind kind, struct cox_str ns, struct cox_str name);
void cox_kube_source_unwant(struct cox_kube_source *s, enum cox_kind kind, struct cox_str ns, struct cox_str name);

bool cox_kube_source_is_synced(const struct cox_kube_source *s);
bool cox_kube_source_is_stale(const struct cox_kube_source *s);
/* False for kinds that are not watched yet, and for Secrets. */
bool cox_kube_source_stats(const struct cox_kube_source *s, enum cox_kind kind, struct cox_kube_watch_stats *out);

#endif
