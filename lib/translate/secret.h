/*
 * secret - SDS over ADS: what a secret's name means, who may have it, and its bytes (protocol facts, section 3). Pure.
 *
 *   kubernetes://name, kubernetes://ns/name, kubernetes-gateway://ns/name   Secret: certificate and key
 *   ... with -cacert behind the name                                       Secret: authorities and revocation list
 *   configmap://ns/name[-cacert]                                           ConfigMap: the same
 *
 * A key goes to a proxy whose identity was verified, whose namespace is the Secret's, and whose service account may list Secrets there;
 * authorities to any verified proxy of the namespace. To one of another namespace only what a Gateway of the Gateway API names (with a
 * ReferenceGrant, lib/convert), and authorities that a BackendTLSPolicy names.
 */
#ifndef COX_TRANSLATE_SECRET_H
#define COX_TRANSLATE_SECRET_H

#include "codec/json.h"
#include "translate/translate.h"

struct cox_secret_ref {
	struct cox_str name; /* the resource's */
	enum cox_kind kind;  /* COX_KIND_SECRET or COX_KIND_CONFIG_MAP */
	struct cox_str ns, object;
	struct cox_str fallback; /* "-cacert" is taken off where no object has that name; empty: nothing to try */
	bool is_ca;
};
/* False: not a name of ours, or one of the CA's own Secrets. Text is borrowed from `name` and `proxy_ns`. */
bool cox_secret_ref_parse(struct cox_str name, struct cox_str proxy_ns, struct cox_secret_ref *out);

enum cox_secret_state {
	COX_SECRET_SERVED,
	COX_SECRET_UNVERIFIED, /* the proxy did not prove who it is (clear text) */
	COX_SECRET_FOREIGN,    /* of another namespace */
	COX_SECRET_ASKING,     /* whether it may is being asked */
	COX_SECRET_DENIED,     /* its service account may not list Secrets */
	COX_SECRET_MISSING,    /* no such object, or not yet */
	COX_SECRET_EMPTY,      /* the object does not have what is asked for */
	COX_SECRET_UNKNOWN,    /* the name means nothing */
};
const char *cox_secret_state_text(enum cox_secret_state s); /* a sentence's end: "the proxy is not authenticated; ..." */
/* May this proxy have it, whether it is there or not? SERVED: it may. */
enum cox_secret_state cox_secret_may(const struct cox_snapshot *s, const struct cox_workload *w, const struct cox_secret_ref *ref);

/* Names in the order in which they were added, each once. Text is borrowed. */
struct cox_secret_names {
	COX_VEC(struct cox_str) items;
};
void cox_secret_names_add(struct cox_secret_names *n, struct cox_str name);
void cox_secret_names_fini(struct cox_secret_names *n);
/* Adds what the rules with a workloadSelector name for such a sidecar (credentialName of DestinationRules). In t->arena. */
void cox_secret_names_of_rules(struct cox_tr *t, const struct cox_workload *w, struct cox_secret_names *out);
/* The same of one rule's TLS settings. */
void cox_secret_names_of_tls(struct cox_arena *a, const struct cox_client_tls *tls, struct cox_secret_names *out);

/* One secret. Gives *out when SERVED. */
enum cox_secret_state cox_secret_build(struct cox_tr *t, const struct cox_workload *w, struct cox_str name,
                                       const struct cox_resource **out);
/* All of them that may be had, as SDS resources. */
void cox_translate_secrets(struct cox_tr *t, const struct cox_workload *w, const struct cox_secret_names *names, cox_resources *out);

/* Takes private keys out of a Secret in JSON, as a dump shows it. */
void cox_secret_redact(struct cox_arena *a, struct cox_json *secret);

#endif
