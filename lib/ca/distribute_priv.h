/* distribute_priv - items that should be in the cluster, and how each is made: distribute.c compares, distribute_write.c writes. */
#ifndef COX_CA_DISTRIBUTE_PRIV_H
#define COX_CA_DISTRIBUTE_PRIV_H

#include "ca/distribute.h"

#include "base/hash.h"
#include "base/map.h"
#include "base/vec.h"
#include "kube/watch.h"
#include "loop/timer.h"

enum item_kind { ITEM_ROOT, ITEM_CRL, ITEM_SECRET, ITEM_BUNDLE, ITEM_KINDS };
/* One ConfigMap, Secret, or (ns empty) ClusterTrustBundle. */
struct item {
	struct cox_distribute *d;
	enum item_kind kind;
	char *key;               /* "<kind>/<ns>/<name>" */
	struct cox_str ns, name; /* in `key` */
	bool is_wanted, is_busy, is_queued;
	/* As the cluster has it. */
	bool exists, is_ours;
	uint64_t version;        /* resourceVersion */
	struct cox_hash content; /* of the ConfigMap's or the bundle's text, or as the Secret's annotation says: of roots and issuer */
	int64_t not_before_s, not_after_s;
	uint64_t written_version; /* our own last write; another one means that somebody else wrote */
	int64_t retry_ms;         /* not before; monotonic */
	/* A write in progress. */
	struct cox_kube_request *request;
	struct cox_buf key_pem;   /* of a secret being made */
	bool is_signing, is_dead; /* dead: waits for the CA's answer, then goes */
};
struct ns_state {
	char *name;
	bool exists, is_ignored, has_secrets;
};
struct cox_distribute {
	struct cox_distribute_spec spec;
	struct cox_loop *loop;
	char *ns, *config_map;
	bool is_leader;
	const struct cox_ca_bundle *bundle;
	struct cox_buf roots; /* all of the bundle, as the ConfigMap has them */
	struct cox_hash roots_hash, crl_hash, secret_hash;
	struct cox_map namespaces; /* struct ns_state */
	struct cox_map accounts;   /* "<ns>/<name>": its own key */
	struct cox_map items;      /* struct item */
	struct cox_kube_watch *watches[ITEM_KINDS];
	bool is_synced[ITEM_KINDS];
	COX_VEC(struct item *) queue;
	size_t busy;
	struct cox_timer *work, *sweep;
	struct cox_kube_request *event;
	struct cox_map warned; /* reason: when */
	bool is_closing;
};

/* distribute.c */
bool distribute_item_is_right(const struct item *i);
void distribute_item_done(struct item *i, enum cox_rc rc, const struct cox_err *err);
void distribute_item_free(struct item *i);
/* distribute_write.c */
void distribute_item_write(struct item *i);
void distribute_item_delete(struct item *i);
#define DISTRIBUTE_BUNDLE COX_STR("istio.io:istiod-ca:root-cert") /* Istio's; it begins with the signer, "/" as ":" */
extern const char distribute_label[], distribute_roots_key[], distribute_after_key[], distribute_before_key[];

#endif
