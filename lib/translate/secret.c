#include "translate/secret.h"

#include "envoy/api.h"
#include "model/secret.h"
#include "translate/common_tls.h"

#define CA_SUFFIX COX_STR("-cacert")
#define REDACTED COX_STR("W3JlZGFjdGVkXQ==") /* "[redacted]", as Envoy says it in its own dumps */

/* --- names ---------------------------------------------------------------------------------- */

static bool strip(struct cox_str *s, const char *scheme)
{
	struct cox_str head = cox_str_of(scheme);
	if (!cox_str_has_prefix(*s, head))
		return false;
	*s = cox_str_sub(*s, head.n, s->n);
	return true;
}

bool cox_secret_ref_parse(struct cox_str name, struct cox_str proxy_ns, struct cox_secret_ref *out)
{
	struct cox_secret_ref ref = { .name = name, .kind = COX_KIND_SECRET, .ns = proxy_ns };
	struct cox_str rest = name;
	bool needs_ns = true;

	if (strip(&rest, "kubernetes://"))
		needs_ns = false;
	else if (strip(&rest, "configmap://"))
		ref.kind = COX_KIND_CONFIG_MAP;
	else if (!strip(&rest, "kubernetes-gateway://"))
		return false;
	ptrdiff_t slash = cox_str_find(rest, '/');
	if (slash >= 0) {
		ref.ns = cox_str_sub(rest, 0, (size_t)slash);
		rest = cox_str_sub(rest, (size_t)slash + 1, rest.n);
	} else if (needs_ns) {
		return false;
	}
	ref.object = rest;
	ref.is_ca = ref.kind == COX_KIND_CONFIG_MAP;
	if (cox_str_has_suffix(rest, CA_SUFFIX)) {
		ref.is_ca = true;
		ref.fallback = cox_str_sub(rest, 0, rest.n - CA_SUFFIX.n);
	}
	if (ref.ns.n == 0 || ref.object.n == 0 || cox_str_find(ref.object, '/') >= 0 || cox_secret_is_reserved(ref.object) ||
	    cox_secret_is_reserved(ref.fallback))
		return false;
	*out = ref;
	return true;
}

const char *cox_secret_state_text(enum cox_secret_state s)
{
	static const char *const texts[] = {
		[COX_SECRET_SERVED] = "is served",
		[COX_SECRET_UNVERIFIED] =
		    "is not sent: the proxy is not authenticated (clear text, or no credentials); secrets go over the TLS port only",
		[COX_SECRET_FOREIGN] = "is not sent: it is in another namespace than the proxy",
		[COX_SECRET_ASKING] = "waits: the kube-apiserver is being asked whether the proxy's service account may list secrets",
		[COX_SECRET_DENIED] = "is not sent: the proxy's service account may not list secrets in its namespace",
		[COX_SECRET_MISSING] = "is not there",
		[COX_SECRET_EMPTY] = "has no such content (tls.crt and tls.key, or cert and key; for authorities ca.crt or cacert)",
		[COX_SECRET_UNKNOWN] = "is not served: the name means nothing, or one of the CA's own secrets",
	};
	return texts[s];
}

void cox_secret_names_add(struct cox_secret_names *n, struct cox_str name)
{
	for (size_t i = 0; i < n->items.n; i++)
		if (cox_str_eq(n->items.p[i], name))
			return;
	cox_vec_push(&n->items, name);
}

void cox_secret_names_fini(struct cox_secret_names *n) { cox_vec_fini(&n->items); }

void cox_secret_names_of_tls(struct cox_arena *a, const struct cox_client_tls *tls, struct cox_secret_names *out)
{
	if (tls == NULL || tls->credential_name.n == 0 || (tls->mode != COX_TLS_SIMPLE && tls->mode != COX_TLS_MUTUAL))
		return;
	if (tls->mode == COX_TLS_MUTUAL)
		cox_secret_names_add(out, cox_tls_secret_name(a, tls->credential_name, ""));
	if (!tls->insecure_skip_verify.v)
		cox_secret_names_add(out, cox_tls_secret_name(a, tls->credential_name, "-cacert"));
}

static void names_of_policy(struct cox_arena *a, const struct cox_traffic_policy *p, struct cox_secret_names *out)
{
	if (p == NULL)
		return;
	cox_secret_names_of_tls(a, p->tls, out);
	for (COX_EACH(struct cox_port_traffic_policy, port, p->port_level_settings))
		cox_secret_names_of_tls(a, port->tls, out);
}

void cox_secret_names_of_rules(struct cox_tr *t, const struct cox_workload *w, struct cox_secret_names *out)
{
	const struct cox_dr *const *rules;
	size_t n = cox_snapshot_drs_of(t->s, w->view.ns, &rules);

	for (size_t i = 0; i < n; i++) {
		const struct cox_destination_rule *spec = rules[i]->spec;
		const struct cox_match_labels *sel = spec->workload_selector;
		if (sel == NULL || !cox_kv_is_subset(sel->match_labels.p, sel->match_labels.n, w->labels.p, w->labels.n))
			continue;
		names_of_policy(t->arena, spec->traffic_policy, out);
		for (COX_EACH(struct cox_subset, subset, spec->subsets))
			names_of_policy(t->arena, subset->traffic_policy, out);
	}
}

/* --- who may -------------------------------------------------------------------------------- */

enum cox_secret_state cox_secret_may(const struct cox_snapshot *s, const struct cox_workload *w, const struct cox_secret_ref *ref)
{
	const struct cox_secret_access *a = &w->secrets;

	if (!a->is_verified)
		return COX_SECRET_UNVERIFIED;
	if (!cox_str_eq(a->ns, ref->ns) && !cox_snapshot_secret_is_granted(s, a->ns, ref->name, ref->is_ca))
		return COX_SECRET_FOREIGN;
	if (ref->is_ca || a->may_list == COX_ACCESS_ALLOWED)
		return COX_SECRET_SERVED;
	return a->may_list == COX_ACCESS_ASKING ? COX_SECRET_ASKING : COX_SECRET_DENIED;
}

/* --- bytes ---------------------------------------------------------------------------------- */

static void bytes_write(struct pb_core_v3_DataSource d, struct cox_str text) { pb_core_v3_DataSource_inline_bytes(d, text); }

static void ca_write(struct pb_transport_sockets_tls_v3_Secret s, const struct cox_tls_material *m)
{
	PB_WITH (v, pb_transport_sockets_tls_v3_Secret_validation_context(s)) {
		PB_WITH (d, pb_transport_sockets_tls_v3_CertificateValidationContext_trusted_ca(v))
			bytes_write(d, m->ca);
		if (m->crl.n == 0)
			continue;
		PB_WITH (d, pb_transport_sockets_tls_v3_CertificateValidationContext_crl(v))
			bytes_write(d, m->crl);
		/* A list comes from one authority; without this Envoy wants one of every authority in the chain. */
		pb_transport_sockets_tls_v3_CertificateValidationContext_only_verify_leaf_cert_crl(v, true);
	}
}

static void pair_write(struct pb_transport_sockets_tls_v3_Secret s, const struct cox_tls_material *m)
{
	PB_WITH (c, pb_transport_sockets_tls_v3_Secret_tls_certificate(s)) {
		PB_WITH (d, pb_transport_sockets_tls_v3_TlsCertificate_certificate_chain(c))
			bytes_write(d, m->cert);
		PB_WITH (d, pb_transport_sockets_tls_v3_TlsCertificate_private_key(c))
			bytes_write(d, m->key);
		if (m->ocsp_staple.n > 0)
			PB_WITH (d, pb_transport_sockets_tls_v3_TlsCertificate_ocsp_staple(c))
				bytes_write(d, m->ocsp_staple);
	}
}

static const struct cox_resource *resource_of(struct cox_tr *t, const struct cox_secret_ref *ref, const struct cox_object *o,
                                              const struct cox_tls_material *m)
{
	struct cox_hash identity =
	    cox_hash_combine(cox_hash_combine(o->hash, cox_hash128(ref->name.p, ref->name.n)), cox_hash128("sds", 3));
	const struct cox_resource *known = cox_memo_find(t->memo, identity);
	struct cox_buf wire = { 0 };
	struct cox_pb pb;

	if (known != NULL)
		return known;
	cox_pb_init(&pb, &wire);
	PB_ROOT (s, pb_transport_sockets_tls_v3_Secret, &pb) {
		pb_transport_sockets_tls_v3_Secret_name(s, ref->name);
		if (ref->is_ca)
			ca_write(s, m);
		else
			pair_write(s, m);
	}
	const struct cox_resource *r = cox_resource_new(COX_TYPE_SDS, ref->name, cox_buf_str(&wire), o->id, (struct cox_str){ 0 });
	explicit_bzero(wire.p, wire.n);
	cox_buf_fini(&wire);
	t->built++;
	return cox_memo_put_take(t->memo, identity, r);
}

enum cox_secret_state cox_secret_build(struct cox_tr *t, const struct cox_workload *w, struct cox_str name, const struct cox_resource **out)
{
	struct cox_secret_ref ref;

	if (!cox_secret_ref_parse(name, w->view.ns, &ref))
		return COX_SECRET_UNKNOWN;
	enum cox_secret_state may = cox_secret_may(t->s, w, &ref);
	if (may != COX_SECRET_SERVED)
		return may;
	const struct cox_object *o = cox_snapshot_secret_find(t->s, ref.kind, ref.ns, ref.object);
	if (o == NULL && ref.fallback.n > 0)
		o = cox_snapshot_secret_find(t->s, ref.kind, ref.ns, ref.fallback);
	if (o == NULL)
		return COX_SECRET_MISSING;
	struct cox_tls_material m = cox_tls_material_of(o);
	if (ref.is_ca ? m.ca.n == 0 : m.cert.n == 0)
		return COX_SECRET_EMPTY;
	*out = resource_of(t, &ref, o, &m);
	return COX_SECRET_SERVED;
}

void cox_translate_secrets(struct cox_tr *t, const struct cox_workload *w, const struct cox_secret_names *names, cox_resources *out)
{
	for (size_t i = 0; i < names->items.n; i++) {
		const struct cox_resource *r;
		if (cox_secret_build(t, w, names->items.p[i], &r) == COX_SECRET_SERVED)
			cox_vec_push(out, r);
	}
}

/* --- dumps ---------------------------------------------------------------------------------- */

void cox_secret_redact(struct cox_arena *a, struct cox_json *secret)
{
	/* The tree is the caller's to change, so its parts are. */
	struct cox_json *cert = (struct cox_json *)cox_json_get(secret, COX_STR("tls_certificate"));
	if (cert == NULL || cox_json_get(cert, COX_STR("private_key")) == NULL)
		return;
	struct cox_json *hidden = cox_json_new_object(a);
	cox_json_set(a, hidden, COX_STR("inline_bytes"), cox_json_new_str(a, REDACTED));
	cox_json_set(a, cert, COX_STR("private_key"), hidden);
}
