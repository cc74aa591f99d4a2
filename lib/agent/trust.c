#include "agent/trust.h"

#include "agent/discovery.h"
#include "ca/cert.h"

struct cox_agent_trust {
	struct cox_buf bundle, issued, mesh; /* PEM, checked */
	struct cox_buf crl, issuer_key_id, trust_domain, phase;
	uint64_t generation;
	bool has_bundle, issued_is_newer;
	struct cox_arena arena; /* of the domains */
	struct cox_agent_trusted *domains;
	size_t domain_n;
};

struct cox_agent_trust *cox_agent_trust_new(void) { return COX_NEW(struct cox_agent_trust); }

void cox_agent_trust_free(struct cox_agent_trust **tp)
{
	struct cox_agent_trust *t = COX_MOVE(*tp);
	if (!t)
		return;
	struct cox_buf *all[] = { &t->bundle, &t->issued, &t->mesh, &t->crl, &t->issuer_key_id, &t->trust_domain, &t->phase };
	for (size_t i = 0; i < COX_LEN(all); i++)
		cox_buf_fini(all[i]);
	cox_arena_fini(&t->arena);
	cox_free(t);
}

/* Texts, each with one or several certificates, to one text of checked certificates. */
static enum cox_rc check_roots(const struct cox_str *texts, size_t n, struct cox_buf *out, struct cox_err *err)
{
	COX_AUTO(cox_arena_fini) struct cox_arena arena = { 0 };
	for (size_t i = 0; i < n; i++) {
		struct cox_str *items;
		size_t count;
		enum cox_rc rc = cox_cert_split(texts[i], &arena, &items, &count, err);
		if (rc != COX_OK) {
			cox_err_wrap(err, "root %zu", i);
			return rc;
		}
		for (size_t j = 0; j < count; j++)
			cox_buf_append_str(out, items[j]);
	}
	return COX_OK;
}

/* Into *arena, which is given back with them. */
static enum cox_rc check_domains(const struct cox_agent_trust_bundle *b, struct cox_arena *arena, struct cox_agent_trusted **out,
                                 struct cox_err *err)
{
	*out = COX_ARENA_ARRAY(arena, struct cox_agent_trusted, b->domain_n + 1);
	for (size_t i = 0; i < b->domain_n; i++) {
		COX_AUTO(cox_buf_fini) struct cox_buf pem = { 0 };
		const struct cox_agent_trust_domain *d = &b->domains[i];
		enum cox_rc rc = check_roots(d->roots_pem, d->root_n, &pem, err);
		if (rc == COX_OK && (pem.n == 0 || d->name.n == 0))
			rc = cox_err_set(err, COX_EINVAL, NULL, "a trust domain without %s", pem.n ? "a name" : "a root");
		if (rc != COX_OK) {
			cox_err_wrap(err, "trust_domains[%zu]", i);
			return rc;
		}
		(*out)[i] = (struct cox_agent_trusted){ cox_arena_str(arena, d->name), cox_arena_str(arena, cox_buf_str(&pem)) };
	}
	return COX_OK;
}

static void replace(struct cox_buf *to, struct cox_str text)
{
	cox_buf_clear(to);
	cox_buf_append_str(to, text);
}

enum cox_rc cox_agent_trust_set_bundle(struct cox_agent_trust *t, struct cox_str bytes, struct cox_err *err)
{
	COX_AUTO(cox_arena_fini) struct cox_arena arena = { 0 };
	COX_AUTO(cox_buf_fini) struct cox_buf roots = { 0 };
	struct cox_agent_trust_bundle b;
	COX_TRY(cox_agent_trust_bundle_read(bytes, &arena, &b, err));
	COX_TRY(check_roots(b.roots_pem, b.root_n, &roots, err));
	if (roots.n == 0)
		return cox_err_set(err, COX_EINVAL, "roots_pem", "a trust bundle without a root would cut the workload off");
	struct cox_arena kept = { 0 };
	struct cox_agent_trusted *domains;
	enum cox_rc rc = check_domains(&b, &kept, &domains, err);
	if (rc != COX_OK) {
		cox_arena_fini(&kept);
		return rc;
	}
	cox_arena_fini(&t->arena);
	t->arena = kept;
	t->domains = domains;
	t->domain_n = b.domain_n;
	replace(&t->bundle, cox_buf_str(&roots));
	replace(&t->crl, b.crl_pem);
	replace(&t->issuer_key_id, b.issuer_key_id);
	replace(&t->trust_domain, b.trust_domain);
	replace(&t->phase, b.phase);
	t->generation = b.generation;
	t->has_bundle = true;
	t->issued_is_newer = false;
	return COX_OK;
}

enum cox_rc cox_agent_trust_set_issued(struct cox_agent_trust *t, struct cox_str roots_pem, struct cox_err *err)
{
	COX_AUTO(cox_buf_fini) struct cox_buf roots = { 0 };
	COX_TRY(check_roots(&roots_pem, 1, &roots, err));
	replace(&t->issued, cox_buf_str(&roots));
	t->issued_is_newer = t->has_bundle;
	return COX_OK;
}

enum cox_rc cox_agent_trust_set_mesh(struct cox_agent_trust *t, struct cox_str bytes, struct cox_err *err)
{
	COX_AUTO(cox_arena_fini) struct cox_arena arena = { 0 };
	COX_AUTO(cox_buf_fini) struct cox_buf roots = { 0 };
	const struct cox_str *texts;
	size_t n;
	COX_TRY(cox_agent_mesh_roots_read(bytes, &arena, &texts, &n, err));
	COX_TRY(check_roots(texts, n, &roots, err));
	replace(&t->mesh, cox_buf_str(&roots));
	return COX_OK;
}

void cox_agent_trust_write(const struct cox_agent_trust *t, struct cox_buf *roots_pem)
{
	COX_AUTO(cox_arena_fini) struct cox_arena arena = { 0 };
	COX_AUTO(cox_buf_fini) struct cox_buf all = { 0 };
	struct cox_str *items;
	size_t n;
	if (t->has_bundle)
		cox_buf_append_str(&all, cox_buf_str(&t->bundle));
	if (!t->has_bundle || t->issued_is_newer)
		cox_buf_append_str(&all, cox_buf_str(&t->issued));
	if (!t->has_bundle)
		cox_buf_append_str(&all, cox_buf_str(&t->mesh));
	/* Every part was checked when it came; together they may be more than one text may have. */
	if (all.n == 0 || cox_cert_split(cox_buf_str(&all), &arena, &items, &n, NULL) != COX_OK) {
		cox_buf_append_str(roots_pem, cox_buf_str(&all));
		return;
	}
	cox_cert_dedupe(items, &n);
	for (size_t i = 0; i < n; i++)
		cox_buf_append_str(roots_pem, items[i]);
}

struct cox_agent_trust_info cox_agent_trust_info(const struct cox_agent_trust *t)
{
	return (struct cox_agent_trust_info){
		.has_bundle = t->has_bundle,
		.must_renew = t->has_bundle && cox_str_eq(cox_buf_str(&t->phase), COX_STR("SIGN")),
		.generation = t->generation,
		.trust_domain = cox_buf_str(&t->trust_domain),
		.phase = cox_buf_str(&t->phase),
		.issuer_key_id = cox_buf_str(&t->issuer_key_id),
		.crl_pem = cox_buf_str(&t->crl),
		.domains = t->domains,
		.domain_n = t->has_bundle && !t->issued_is_newer ? t->domain_n : 0,
	};
}
