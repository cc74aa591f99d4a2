#include "stage_serve.h"
#include "env.h"
#include "external_ca.h"
#include "stage_webhook.h"
#include "stage_federation.h"

#include "base/log.h"
#include "ca/authn.h"
#include "ca/csr_service.h"
#include "ca/impersonate.h"
#include "ca/serving.h"
#include "codec/json.h"

#include <stdio.h>

enum { NAMES_MAX = 16 };

struct serve {
	struct cox_buf jwt_rule; /* borrowed by authn */
	struct cox_authn *authn;
	struct cox_node_pods *node_pods;
	struct cox_csr_service *csr; /* with a CA only */
	struct cox_serving *serving;
	struct cox_tls *tls;        /* the latest; NULL: none yet */
	bool is_open, is_listening; /* the xDS server; its TLS port */
	struct cox_hash mesh;       /* whose trust domain and aliases are in force */
};

static struct cox_str env(enum env_id id) { return cox_str_of(env_given(id)); }

/* --- the certificate we serve with --------------------------------------------------------------------------------- */

static void listen_tls(struct daemon *d)
{
	struct serve *s = d->serve;
	struct cox_err err = { 0 };
	char text[320];
	uint16_t port;
	if (!s->is_open || !s->tls || !d->flags.has_secure_grpc)
		return;
	if (s->is_listening) {
		cox_xds_server_set_tls(d->xds, s->tls);
		return;
	}
	if (cox_xds_server_listen_tls(d->xds, &d->flags.secure_grpc, s->tls, &port, &err) != COX_OK) {
		cox_log(COX_LOG_ERROR, "ads", "no TLS: %s", err.text);
		return;
	}
	s->is_listening = true;
	d->flags.secure_grpc.port = port;
	cox_log(COX_LOG_INFO, "ads", "listening over TLS addr=%s", cox_addr_format(&d->flags.secure_grpc, text, sizeof(text)));
}

static void on_certificate(void *arg, const struct cox_serving_now *now)
{
	struct daemon *d = arg;
	cox_tls_unref(&d->serve->tls);
	d->serve->tls = cox_tls_ref(now->tls);
	listen_tls(d);
	webhook_on_certificate(d, now);
	federation_on_certificate(d, now);
}

static void add_name(struct cox_str *names, size_t *n, struct cox_arena *arena, struct cox_str name)
{
	for (size_t i = 0; i < *n; i++)
		if (cox_str_eq(names[i], name))
			return;
	if (name.n && *n < NAMES_MAX)
		names[(*n)++] = cox_arena_str(arena, name);
}

/* The names under which proxies find us (features g2). */
static size_t serving_names(const struct daemon *d, struct cox_arena *arena, struct cox_str names[NAMES_MAX])
{
	static const char *const services[] = { "istiod", "istiod-remote", "istio-pilot" };
	struct cox_str rest = env(ENV_ISTIOD_CUSTOM_HOST), host;
	size_t n = 0;
	for (size_t i = 0; i < COX_LEN(services); i++)
		add_name(names, &n, arena, cox_arena_printf(arena, "%s.%s.svc", services[i], d->flags.ns));
	if (d->flags.revision[0] && strcmp(d->flags.revision, "default") != 0)
		add_name(names, &n, arena, cox_arena_printf(arena, "istiod-%s.%s.svc", d->flags.revision, d->flags.ns));
	while (rest.n && cox_str_next(&rest, ',', &host))
		add_name(names, &n, arena, cox_str_trim(host));
	return n;
}

static enum cox_rc open_serving(struct daemon *d, struct cox_err *err)
{
	COX_AUTO(cox_arena_fini) struct cox_arena arena = { 0 };
	struct cox_str names[NAMES_MAX];
	size_t n = serving_names(d, &arena, names);
	bool is_own = cox_str_eq_cstr(env_text(ENV_PILOT_CERT_PROVIDER), "istiod");
	if (!is_own && !d->flags.tls_cert_file)
		cox_log(COX_LOG_WARN, "ads", "PILOT_CERT_PROVIDER=%s: nobody certifies us, and without --tlsCertFile there is no TLS port",
		        env_cstr(ENV_PILOT_CERT_PROVIDER));
	if (!d->flags.tls_cert_file && (!d->ca || !is_own || !external_ca_signs_names()))
		return COX_OK;
	return cox_serving_open(&(struct cox_serving_spec){ .loop = d->loop,
	                                                    .sign = cox_ca_sign,
	                                                    .ca = d->ca,
	                                                    .dns = names,
	                                                    .dns_n = n,
	                                                    .cert_file = d->flags.tls_cert_file,
	                                                    .key_file = d->flags.tls_key_file,
	                                                    .ca_file = d->flags.ca_cert_file,
	                                                    .on_change = on_certificate,
	                                                    .ctx = d },
	                        &d->serve->serving, err);
}

/* --- who may ask, and for what ----------------------------------------------------------------------------------------- */

static bool may_impersonate(void *ctx, const struct cox_identity *caller, const struct cox_spiffe_id *wanted, struct cox_err *err)
{
	struct daemon *d = ctx;
	if (!cox_push_is_synced(d->push)) {
		cox_err_set(err, COX_EAGAIN, NULL, "pods are not all known yet");
		return false;
	}
	return cox_node_pods_allow(d->serve->node_pods, caller, wanted, err);
}

static enum cox_rc open_csr(struct daemon *d, struct cox_err *err)
{
	struct serve *s = d->serve;
	if (!d->ca)
		return COX_OK;
	return cox_csr_service_open(&(struct cox_csr_service_spec){ .loop = d->loop,
	                                                            .authn = s->authn,
	                                                            .sign = cox_ca_sign,
	                                                            .ca = d->ca,
	                                                            .ledger = d->ledger,
	                                                            .trusted_node_accounts = env(ENV_CA_TRUSTED_NODE_ACCOUNTS),
	                                                            .trusted_authorities = env(ENV_COXSWAIN_CA_TRUSTED_AUTHORITIES),
	                                                            .may_impersonate = may_impersonate,
	                                                            .ctx = d },
	                            &s->csr, err);
}

static void on_blocked(struct daemon *d)
{
	if (d->xds)
		cox_xds_server_recheck(d->xds);
}

/* JWT_RULE, or what older installations say in two variables. */
static void jwt_rule(struct cox_buf *out)
{
	cox_buf_append_str(out, env(ENV_JWT_RULE));
	if (out->n || !env_is_set(ENV_TOKEN_ISSUER))
		return;
	cox_buf_append_cstr(out, "{\"issuer\":");
	cox_json_write_str(out, env(ENV_TOKEN_ISSUER));
	if (env_is_set(ENV_AUDIENCE)) {
		cox_buf_append_cstr(out, ",\"audiences\":[");
		cox_json_write_str(out, env(ENV_AUDIENCE));
		cox_buf_append_cstr(out, "]");
	}
	cox_buf_append_cstr(out, "}");
}

static enum cox_rc open_authn(struct daemon *d, struct cox_err *err)
{
	jwt_rule(&d->serve->jwt_rule);
	return cox_authn_open(&(struct cox_authn_spec){ .loop = d->loop,
	                                                .kube = d->kube,
	                                                .audiences = env(ENV_TOKEN_AUDIENCES),
	                                                .trust_domain = cox_registry_mesh(d->registry)->trust_domain,
	                                                .cluster_id = cox_str_of(d->flags.cluster_id),
	                                                .jwt_rule = cox_buf_str(&d->serve->jwt_rule),
	                                                .trusted_gateway_cidrs = env(ENV_TRUSTED_GATEWAY_CIDR) },
	                      &d->serve->authn, err);
}

enum cox_rc start_serve(struct daemon *d, struct cox_err *err)
{
	struct serve *s = d->serve = COX_NEW(struct serve);
	COX_TRY(open_authn(d, err));
	s->node_pods = cox_node_pods_new(d->registry);
	COX_TRY(open_csr(d, err));
	COX_TRY(open_serving(d, err));
	d->on_blocked = on_blocked;
	return COX_OK;
}

void stop_serve(struct daemon *d)
{
	struct serve *s = d->serve;
	if (!s)
		return;
	d->on_blocked = NULL;
	cox_serving_close(&s->serving);
	cox_csr_service_close(&s->csr);
	cox_authn_close(&s->authn);
	cox_node_pods_free(&s->node_pods);
	cox_tls_unref(&s->tls);
	cox_buf_fini(&s->jwt_rule);
	cox_free(s);
	d->serve = NULL;
}

void serve_fill(struct daemon *d, struct cox_xds_server_options *opts)
{
	struct serve *s = d->serve;
	opts->auth = (struct cox_xds_auth){ .authn = s->authn,
		                            .ledger = d->ledger,
		                            .on_tls = env_bool(ENV_XDS_AUTH),
		                            .on_plaintext = env_bool(ENV_XDS_AUTH) && env_bool(ENV_XDS_AUTH_PLAINTEXT),
		                            .skip_identity_check = !env_bool(ENV_PILOT_ENABLE_XDS_IDENTITY_CHECK) };
	opts->methods = s->csr ? cox_csr_service_method(s->csr) : NULL;
	opts->method_count = s->csr ? 1 : 0;
}

enum cox_rc serve_listen(struct daemon *d, struct cox_err *err)
{
	struct serve *s = d->serve;
	s->is_open = true;
	listen_tls(d);
	/* A certificate by the CA comes later; one from a file is there, and its port must be free now. */
	if (s->tls && d->flags.has_secure_grpc && !s->is_listening)
		return cox_err_set(err, COX_EIO, NULL, "--secureGRPCAddr cannot be listened on");
	return COX_OK;
}

void serve_unlisten(struct daemon *d)
{
	if (d->serve)
		d->serve->is_open = false;
}

void serve_on_bundle(struct daemon *d, const struct cox_ca_bundle *b)
{
	if (d->serve && d->serve->serving)
		cox_serving_bundle(d->serve->serving, b);
	webhook_on_bundle(d, b);
}

struct cox_authn *serve_authn(struct daemon *d) { return d->serve ? d->serve->authn : NULL; }

void serve_on_mesh(struct daemon *d)
{
	struct serve *s = d->serve;
	struct cox_hash now = cox_registry_mesh_hash(d->registry);
	const struct cox_mesh_config *mesh = cox_registry_mesh(d->registry);
	if (!s || cox_hash_eq(s->mesh, now))
		return;
	s->mesh = now;
	cox_authn_set_trust(s->authn, mesh->trust_domain, mesh->trust_domain_aliases.p, mesh->trust_domain_aliases.n);
}
