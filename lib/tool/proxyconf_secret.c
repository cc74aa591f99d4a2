/* proxyconf_secret.c - secrets and bootstrap: what certificates say, and which versions run. */
#include "tool/proxyconf_priv.h"

#include "base/clock.h"
#include "ca/cert.h"
#include "codec/b64.h"

#include <stdio.h>
#include <time.h>

enum { SERIAL_DIGITS = 32 };

struct secret {
	struct cox_str name, state, trust_domain, pem;
	struct cox_cert_info cert;
	bool is_read; /* there is a certificate, and it can be read */
};
struct secrets {
	struct cox_arena arena;
	COX_VEC(struct secret) list;
};

static struct cox_str inline_bytes(const struct cox_json *source, struct cox_arena *arena)
{
	struct cox_str bytes = { 0 };
	if (cox_b64_decode(arena, pc_str(source, "inline_bytes"), true, &bytes) != COX_OK)
		bytes.n = 0;
	return bytes;
}

static void secret_add(struct secrets *all, struct cox_str name, struct cox_str state, struct cox_str domain, struct cox_str pem)
{
	struct secret *s = cox_vec_add(&all->list);
	struct cox_err ignored;
	s->name = name;
	s->state = state;
	s->pem = pem;
	s->is_read = pem.n && cox_cert_read_pem(pem, &all->arena, &s->cert, &ignored) == COX_OK;
	if (!s->is_read)
		return; /* as istioctl: a domain that is known without its certificate is not told */
	s->trust_domain = domain;
	for (size_t i = 0; i < s->cert.uri_n && !domain.n; i++) {
		struct cox_str uri = s->cert.uris[i], scheme = COX_STR("spiffe://");
		if (!cox_str_has_prefix(uri, scheme))
			continue;
		uri = cox_str_sub(uri, scheme.n, SIZE_MAX);
		ptrdiff_t slash = cox_str_find(uri, '/');
		s->trust_domain = slash < 0 ? uri : cox_str_sub(uri, 0, (size_t)slash);
	}
}

static void secret_read(struct secrets *all, const struct cox_json *dynamic, struct cox_str state)
{
	const struct cox_json *secret = pc_get(dynamic, "secret"), *context = pc_get(secret, "validation_context");
	struct cox_str name = pc_str(dynamic, "name"), none = { 0 };
	struct cox_str chain = inline_bytes(pc_get(secret, "tls_certificate.certificate_chain"), &all->arena),
	               root = inline_bytes(pc_get(context, "trusted_ca"), &all->arena);
	const struct cox_json *domains = pc_get(context, "custom_validator_config.typed_config.trust_domains");
	if (chain.n || root.n || !pc_count(domains)) {
		secret_add(all, name, state, none, chain.n ? chain : root);
		return;
	}
	for (size_t i = 0; i < pc_count(domains); i++)
		secret_add(all, name, state, pc_str(&domains->items[i], "name"),
		           inline_bytes(pc_get(&domains->items[i], "trust_bundle"), &all->arena));
}

static void time_cell(struct cox_table *t, int64_t s)
{
	char text[32];
	time_t seconds = (time_t)s;
	struct tm tm;
	gmtime_r(&seconds, &tm);
	(void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	cox_table_cell(t, cox_str_of(text));
}

static void secret_row(const struct secret *s, const struct cox_proxyconf_filter *f, bool with_domain, struct cox_table *t)
{
	int64_t now_s = cox_clock_wall_ms() / 1000;
	cox_table_cellf(t, "%s%.*s", f->names_kinds ? "secret/" : "", COX_FMT(s->name));
	cox_table_cell(t, s->is_read ? s->cert.is_ca ? COX_STR("CA") : COX_STR("Cert Chain") : COX_STR(""));
	cox_table_cell(t, s->state);
	cox_table_cell(t, s->is_read && now_s > s->cert.not_before_s && now_s < s->cert.not_after_s ? COX_STR("true") : COX_STR("false"));
	if (s->is_read) {
		size_t digits = strlen(s->cert.serial);
		cox_table_cellf(t, "%.*s%s", digits < SERIAL_DIGITS ? (int)(SERIAL_DIGITS - digits) : 0, "00000000000000000000000000000000",
		                s->cert.serial);
		time_cell(t, s->cert.not_after_s);
		time_cell(t, s->cert.not_before_s);
	} else {
		for (int i = 0; i < 3; i++)
			cox_table_cell(t, COX_STR(""));
	}
	if (with_domain)
		cox_table_cell(t, s->trust_domain);
	cox_table_row_end(t);
}

static void secrets_read(const struct cox_json *section, struct secrets *all)
{
	static const struct {
		const char *member, *state;
	} parts[] = { { "dynamic_warming_secrets", "WARMING" }, { "dynamic_active_secrets", "ACTIVE" } };
	for (size_t p = 0; p < COX_LEN(parts); p++) {
		const struct cox_json *list = pc_get(section, parts[p].member);
		for (size_t i = 0; i < pc_count(list); i++)
			secret_read(all, &list->items[i], cox_str_of(parts[p].state));
	}
}

static void secrets_fini(struct secrets *all)
{
	cox_vec_fini(&all->list);
	cox_arena_fini(&all->arena);
}

void pc_secret_write(const struct cox_json *section, const struct cox_proxyconf_filter *f, struct cox_buf *out)
{
	struct secrets all = { 0 };
	struct cox_table t = { 0 };
	bool with_domain = true;
	secrets_read(section, &all);
	for (size_t i = 0; i < all.list.n; i++)
		with_domain &= all.list.p[i].trust_domain.n > 0;
	if (all.list.n == 0) {
		cox_buf_append_cstr(out, "No active or warming secrets found.\n");
	} else {
		cox_table_row(&t, with_domain
		                      ? "RESOURCE NAME\tTYPE\tSTATUS\tVALID CERT\tSERIAL NUMBER\tNOT AFTER\tNOT BEFORE\tTRUST DOMAIN"
		                      : "RESOURCE NAME\tTYPE\tSTATUS\tVALID CERT\tSERIAL NUMBER\tNOT AFTER\tNOT BEFORE");
		for (size_t i = 0; i < all.list.n; i++)
			secret_row(&all.list.p[i], f, with_domain, &t);
		cox_table_write(&t, 5, out);
	}
	cox_table_fini(&t);
	secrets_fini(&all);
}

enum cox_rc cox_proxyconf_roots(const struct cox_json *dump, struct cox_arena *arena, struct cox_str *out, struct cox_err *err)
{
	struct secrets all = { 0 };
	struct cox_buf pem = { 0 };
	size_t from = 0;
	const struct cox_json *section = pc_section(dump, "SecretsConfigDump", &from);
	secrets_read(section, &all);
	for (size_t i = 0; i < all.list.n; i++)
		if (cox_str_eq(all.list.p[i].name, COX_STR("ROOTCA")) && cox_str_eq(all.list.p[i].state, COX_STR("ACTIVE")))
			cox_buf_append_str(&pem, all.list.p[i].pem);
	*out = cox_arena_str(arena, cox_buf_str(&pem));
	cox_buf_fini(&pem);
	secrets_fini(&all);
	return out->n ? COX_OK : cox_err_set(err, COX_ENOTFOUND, NULL, "the proxy has no secret ROOTCA");
}

/* --- bootstrap -------------------------------------------------------------------------------------------- */

void pc_bootstrap_write(const struct cox_json *section, struct cox_buf *out)
{
	const struct cox_json *node = pc_get(section, "bootstrap.node"), *build = pc_get(node, "user_agent_build_version"),
	                      *version = pc_get(build, "version"), *labels = pc_get(build, "metadata"),
	                      *metadata = pc_get(node, "metadata");
	static const char *const parts[][2] = {
		{ "build.label", "-" }, { "revision.status", "/" }, { "build.type", "/" }, { "ssl.version", "/" }
	};
	struct cox_table t = { 0 };
	struct cox_buf b = { 0 };
	struct cox_str istio = cox_json_str_at(metadata, "ISTIO_VERSION"), sha = cox_json_str_at(metadata, "ISTIO_PROXY_SHA");
	ptrdiff_t colon = cox_str_find(sha, ':');
	if (istio.n) {
		cox_table_cell(&t, COX_STR("Istio Version:"));
		cox_table_cell(&t, istio);
		cox_table_row_end(&t);
	}
	if (sha.n) {
		cox_table_cell(&t, COX_STR("Istio Proxy Version:"));
		cox_table_cell(&t, colon < 0 ? sha : cox_str_sub(sha, (size_t)colon + 1, SIZE_MAX));
		cox_table_row_end(&t);
	}
	cox_buf_printf(&b, "%lld.%lld.%lld", (long long)pc_i64(version, "major_number"), (long long)pc_i64(version, "minor_number"),
	               (long long)pc_i64(version, "patch"));
	for (size_t i = 0; i < COX_LEN(parts); i++) {
		const struct cox_json *text = cox_json_get(labels, cox_str_of(parts[i][0]));
		if (text)
			cox_buf_printf(&b, "%s%.*s", parts[i][1], COX_FMT(text->text));
	}
	cox_table_cell(&t, COX_STR("Envoy Version:"));
	cox_table_cell(&t, cox_buf_str(&b));
	cox_table_row_end(&t);
	cox_table_write(&t, 1, out);
	cox_buf_fini(&b);
	cox_table_fini(&t);
}
