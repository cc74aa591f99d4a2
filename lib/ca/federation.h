/*
 * federation - the roots of other trust domains, from their SPIFFE bundle endpoints (profile https_web), kept current: fetched at once,
 * then as often as a bundle asks for. What was fetched last stays in force while an endpoint does not answer or tells nonsense.
 * Thread: everything on the loop.
 */
#ifndef COX_CA_FEDERATION_H
#define COX_CA_FEDERATION_H

#include "base/err.h"
#include "loop/loop.h"

struct cox_federation;

struct cox_federation_spec {
	struct cox_loop *loop;
	const char *ca_file;          /* roots for the endpoints' own certificates; NULL: the system's. Copied */
	int64_t refresh_ms;           /* instead of what bundles ask for; 0: as they ask */
	void (*on_change)(void *ctx); /* an endpoint tells other roots, or was heard of for the first time; never from inside a call */
	void *ctx;
};
struct cox_federation *cox_federation_new(const struct cox_federation_spec *spec);
/* Accepts NULL. */
void cox_federation_free(struct cox_federation **f);

/* The endpoints from now on; what is known of those that stay is kept. COX_EINVAL: one is no https URL; the others count. */
COX_MUST_USE enum cox_rc cox_federation_set(struct cox_federation *f, const struct cox_str *urls, size_t n, struct cox_err *err);
/* One root each, borrowed until the next call that changes something; 0: none is known. */
size_t cox_federation_roots(const struct cox_federation *f, struct cox_str url, const struct cox_str **roots_pem);
/* Every endpoint was heard of, or has had its time (5 s): a bundle made before that could take away what agents have. */
bool cox_federation_is_settled(const struct cox_federation *f);

#endif
