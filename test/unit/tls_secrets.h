/* tls_secrets - Secrets and ConfigMaps with certificates, as YAML for tests. Header only. */
#ifndef COX_TEST_TLS_SECRETS_H
#define COX_TEST_TLS_SECRETS_H

#include "certs.h"
#include "codec/b64.h"

static inline struct cox_str b64_text(struct cox_arena *a, struct cox_str s)
{
	struct cox_buf b = { 0 };
	cox_b64_encode(&b, s);
	struct cox_str out = cox_arena_str(a, cox_buf_str(&b));
	cox_buf_fini(&b);
	return out;
}

static inline const char *secret_yaml(struct cox_arena *a, const char *name, const char *ns, const char *cert_key, struct cox_str cert,
                                      const char *key_key, struct cox_str key)
{
	return cox_arena_printf(
	           a, "---\napiVersion: v1\nkind: Secret\nmetadata: {name: %s, namespace: %s}\ndata: {%s: \"%.*s\", %s: \"%.*s\"}\n%c",
	           name, ns, cert_key, COX_FMT(b64_text(a, cert)), key_key, COX_FMT(b64_text(a, key)), 0)
	    .p;
}

static inline const char *tls_secret_yaml(struct cox_arena *a, const char *name, const char *ns, const struct test_pair *p)
{
	return secret_yaml(a, name, ns, "tls.crt", p->cert, "tls.key", p->key);
}

#endif
