#include "stage_federation.h"
#include "env.h"

#include "external_ca.h"
#include "stage_trust.h"

#include "base/log.h"
#include "ca/federation.h"
#include "ca/spiffe_bundle.h"
#include "net/httpd.h"

struct federation {
	struct daemon *d;
	struct cox_federation *fetched; /* NULL until the mesh configuration names an endpoint */
	struct cox_hash mesh;           /* whose endpoints are fetched */
	struct cox_addr addr;
	bool has_addr, sync_waits;
	struct cox_httpd *httpd; /* our own bundle */
	struct cox_httpd_route route;
};

/* --- what is trusted ------------------------------------------------------------------------------- */

static void on_fetched(void *ctx)
{
	struct federation *f = ctx;
	trust_refresh(f->d);
	if (!f->sync_waits || !cox_federation_is_settled(f->fetched))
		return;
	f->sync_waits = false;
	cox_push_set_synced(f->d->push);
}

bool federation_is_settled(struct daemon *d)
{
	struct federation *f = d->federation;
	if (!f || !f->fetched || cox_federation_is_settled(f->fetched))
		return true;
	f->sync_waits = true;
	return false;
}

/* Roots for certificates of a Kubernetes signer are the RA's affair (external_ca.c), and so is, with a CA elsewhere, what has no domain of
 * its own: its bundle has them. */
static bool is_ours(const struct daemon *d, const struct cox_mesh_ca *ca)
{
	bool names_more = ca->trust_domains.n || ca->spiffe_bundle_url.n;
	return d->external_ca ? names_more : names_more || !ca->cert_signers.n;
}

void federation_mesh_changed(struct daemon *d)
{
	struct federation *f = d->federation;
	const struct cox_mesh_config *mesh = cox_registry_mesh(d->registry);
	struct cox_hash hash = cox_registry_mesh_hash(d->registry);
	COX_AUTO(cox_arena_fini) struct cox_arena arena = { 0 };
	struct cox_err err = { 0 };
	const char *refresh = env_given(ENV_COXSWAIN_SPIFFE_BUNDLE_REFRESH_MS);
	int64_t refresh_ms = 0;
	size_t n = 0;
	if (!f || cox_hash_eq(hash, f->mesh))
		return;
	f->mesh = hash;
	struct cox_str *urls = COX_ARENA_ARRAY(&arena, struct cox_str, mesh->ca_certificates.n + 1);
	for (COX_EACH(struct cox_mesh_ca, ca, mesh->ca_certificates))
		if (ca->spiffe_bundle_url.n)
			urls[n++] = ca->spiffe_bundle_url;
	if (refresh && (cox_str_to_i64(cox_str_of(refresh), &refresh_ms) != COX_OK || refresh_ms < 0))
		refresh_ms = 0;
	if (n > 0 && !f->fetched)
		f->fetched = cox_federation_new(&(struct cox_federation_spec){ .loop = d->loop,
		                                                               .ca_file = env_given(ENV_COXSWAIN_SPIFFE_BUNDLE_CA_FILE),
		                                                               .refresh_ms = refresh_ms,
		                                                               .on_change = on_fetched,
		                                                               .ctx = f });
	if (f->fetched && cox_federation_set(f->fetched, urls, n, &err) != COX_OK)
		cox_log(COX_LOG_ERROR, "ca", "MeshConfig caCertificates: spiffeBundleUrl: %s", err.text);
	trust_refresh(d);
}

struct domains {
	struct cox_arena *arena;
	struct cox_trust_domain *p;
	size_t n;
};

static struct cox_trust_domain *domain_get(struct domains *all, struct cox_str name)
{
	for (size_t i = 0; i < all->n; i++)
		if (cox_str_eq(all->p[i].name, name))
			return &all->p[i];
	all->p[all->n] = (struct cox_trust_domain){ .name = name };
	return &all->p[all->n++];
}

static void roots_add(struct domains *all, struct cox_str name, const struct cox_str *roots, size_t n)
{
	struct cox_trust_domain *d = domain_get(all, name);
	struct cox_str *joined = COX_ARENA_ARRAY(all->arena, struct cox_str, d->root_n + n + 1);
	size_t count = d->root_n + n;
	for (size_t i = 0; i < count; i++)
		joined[i] = i < d->root_n ? d->roots_pem[i] : roots[i - d->root_n];
	cox_cert_dedupe(joined, &count);
	d->roots_pem = joined;
	d->root_n = count;
}

/* For the domains that it names, else for the mesh's own and its aliases. */
static void entry_add(struct domains *all, const struct cox_mesh_config *mesh, struct cox_str own, const struct cox_mesh_ca *ca,
                      const struct cox_str *roots, size_t n)
{
	if (n == 0)
		return;
	for (COX_EACH(struct cox_str, name, ca->trust_domains))
		roots_add(all, *name, roots, n);
	if (ca->trust_domains.n > 0)
		return;
	roots_add(all, own, roots, n);
	for (COX_EACH(struct cox_str, alias, mesh->trust_domain_aliases))
		roots_add(all, *alias, roots, n);
}

static void entries_add(struct federation *f, const struct cox_mesh_config *mesh, struct cox_str own, struct domains *all)
{
	for (size_t i = 0; i < mesh->ca_certificates.n; i++) {
		const struct cox_mesh_ca *ca = &mesh->ca_certificates.p[i];
		const struct cox_str *fetched = NULL;
		struct cox_str *roots = NULL;
		struct cox_err err = { 0 };
		size_t n = 0;
		if (!is_ours(f->d, ca))
			continue;
		if (ca->pem.n && cox_cert_split(ca->pem, all->arena, &roots, &n, &err) != COX_OK)
			cox_log(COX_LOG_ERROR, "ca", "MeshConfig caCertificates[%zu].pem: %s", i, err.text);
		else
			entry_add(all, mesh, own, ca, roots, n);
		n = f->fetched && ca->spiffe_bundle_url.n ? cox_federation_roots(f->fetched, ca->spiffe_bundle_url, &fetched) : 0;
		entry_add(all, mesh, own, ca, fetched, n);
	}
}

bool federation_domains(struct daemon *d, const struct cox_ca_bundle *b, struct cox_arena *arena, struct cox_trust_domain **out, size_t *n)
{
	struct federation *f = d->federation;
	const struct cox_mesh_config *mesh = cox_registry_mesh(d->registry);
	size_t max = mesh->trust_domain_aliases.n + 1, ours = 0;
	*out = NULL;
	*n = 0;
	for (COX_EACH(struct cox_mesh_ca, ca, mesh->ca_certificates)) {
		max += ca->trust_domains.n;
		ours += is_ours(d, ca);
	}
	if (!f || ours == 0)
		return true;
	if (f->fetched && !cox_federation_is_settled(f->fetched))
		return false;
	struct domains all = { arena, COX_ARENA_ARRAY(arena, struct cox_trust_domain, max), 0 };
	roots_add(&all, b->trust_domain, b->roots_pem, b->root_n);
	for (COX_EACH(struct cox_str, alias, mesh->trust_domain_aliases))
		roots_add(&all, *alias, b->roots_pem, b->root_n);
	entries_add(f, mesh, b->trust_domain, &all);
	*out = all.p;
	*n = all.n;
	return true;
}

/* --- our own bundle -------------------------------------------------------------------------------- */

/* On the server's thread. */
static void on_request(void *ctx, struct cox_httpd_request *r)
{
	struct federation *f = ctx;
	const struct cox_ca_bundle *b = cox_ca_bundle_get(f->d->ca);
	struct cox_buf out = { 0 };
	struct cox_err err = { 0 };
	if (!b)
		cox_httpd_reply(r, 503, NULL, COX_STR("no root yet\n"));
	else if (cox_spiffe_bundle_write(b->roots_pem, b->root_n, &out, &err) != COX_OK)
		cox_httpd_reply(r, 500, NULL, cox_str_of(err.text));
	else
		cox_httpd_reply_buf_take(r, 200, "application/json", &out);
	cox_buf_fini(&out);
	cox_ca_bundle_unref(b);
}

void federation_on_certificate(struct daemon *d, const struct cox_serving_now *now)
{
	struct federation *f = d->federation;
	struct cox_err err = { 0 };
	char text[320];
	enum cox_rc rc;
	if (!f || !f->has_addr)
		return;
	if (f->httpd) {
		rc = cox_httpd_set_cert(f->httpd, now->chain_pem, now->key_pem, &err);
	} else {
		struct cox_httpd_spec spec = {
			.addr = f->addr, .routes = &f->route, .route_count = 1, .cert_pem = now->chain_pem, .key_pem = now->key_pem
		};
		rc = cox_httpd_open(&spec, &f->httpd, &f->addr.port, &err);
		if (rc == COX_OK)
			cox_log(COX_LOG_INFO, "ca", "spiffe bundle endpoint listening addr=%s",
			        cox_addr_format(&f->addr, text, sizeof(text)));
	}
	if (rc != COX_OK)
		cox_log(COX_LOG_ERROR, "ca", "spiffe bundle endpoint: %s", err.text);
}

enum cox_rc start_federation(struct daemon *d, struct cox_err *err)
{
	const char *addr = env_given(ENV_COXSWAIN_SPIFFE_BUNDLE_ADDR);
	if (!d->ca)
		return COX_OK;
	struct federation *f = d->federation = COX_NEW(struct federation);
	f->d = d;
	f->route = (struct cox_httpd_route){ "GET", "*", on_request, f };
	if (addr && addr[0]) {
		enum cox_rc rc = cox_addr_parse(cox_str_of(addr), &f->addr, err);
		if (rc != COX_OK) {
			cox_err_wrap(err, "COXSWAIN_SPIFFE_BUNDLE_ADDR");
			return rc;
		}
		f->has_addr = true;
	}
	return COX_OK;
}

void stop_federation(struct daemon *d)
{
	struct federation *f = d->federation;
	d->federation = NULL;
	if (!f)
		return;
	cox_httpd_close(&f->httpd);
	cox_federation_free(&f->fetched);
	cox_free(f);
}
