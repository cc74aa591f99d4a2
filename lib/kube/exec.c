#include "base/clock.h"
#include "base/vec.h"
#include "codec/b64.h"
#include "codec/json.h"
#include "kube/exec_priv.h"
#include "loop/proc.h"
#include "loop/timer.h"

#include <unistd.h>

enum {
	EXEC_MS_MAX = 60 * 1000, /* a cloud's plug-in may ask the network; nobody waits longer for a request */
	EXEC_OUTPUT_BYTES_MAX = 1024 * 1024,
	EXEC_STDERR_BYTES_MAX = 512, /* of what it complains, for our message */
};

struct cox_kube_exec_run {
	const struct cox_kube_config *config;
	struct cox_proc *proc;
	struct cox_timer *deadline;
	cox_kube_exec_fn *fn;
	void *ctx;
	struct cox_buf output, complaint;
	bool is_too_long;
};

void cox_kube_exec_result_fini(struct cox_kube_exec_result *r)
{
	struct cox_buf *secrets[] = { &r->token, &r->key_pem };
	for (size_t i = 0; i < COX_LEN(secrets); i++)
		if (secrets[i]->n)
			explicit_bzero(secrets[i]->p, secrets[i]->n);
	cox_buf_fini(&r->token);
	cox_buf_fini(&r->cert_pem);
	cox_buf_fini(&r->key_pem);
	*r = (struct cox_kube_exec_result){ 0 };
}

static enum cox_rc status_read(const struct cox_json *status, struct cox_kube_exec_result *out, struct cox_err *err)
{
	struct cox_str token = cox_json_str_at(status, "token"), cert = cox_json_str_at(status, "clientCertificateData"),
	               key = cox_json_str_at(status, "clientKeyData"), expires = cox_json_str_at(status, "expirationTimestamp");
	int64_t expires_ms = 0;
	if (token.n == 0 && cert.n == 0)
		return cox_err_set(err, COX_EPROTO, "status", "has neither a token nor a client certificate");
	if ((cert.n != 0) != (key.n != 0))
		return cox_err_set(err, COX_EPROTO, "status", "clientCertificateData and clientKeyData must come together");
	if (cert.n && cox_str_search(cert, COX_STR("-----BEGIN ")) < 0)
		return cox_err_set(err, COX_EPROTO, "status.clientCertificateData", "holds no PEM block");
	if (expires.n && cox_clock_parse(expires, &expires_ms) != COX_OK)
		return cox_err_set(err, COX_EPROTO, "status.expirationTimestamp", "is no RFC 3339 time");
	cox_buf_append_str(&out->token, token);
	cox_buf_append_str(&out->cert_pem, cert);
	cox_buf_append_str(&out->key_pem, key);
	out->expires_ms = expires_ms;
	return COX_OK;
}

enum cox_rc cox_kube_exec_result_parse(struct cox_str output, struct cox_str api_version, struct cox_kube_exec_result *out,
                                       struct cox_err *err)
{
	struct cox_arena arena = { 0 };
	struct cox_json *v = NULL;
	enum cox_rc rc = COX_EPROTO;
	/* Never the text itself in a message: it holds secrets. */
	if (cox_json_parse(&arena, output, &v, NULL) != COX_OK || v->type != COX_JSON_OBJECT)
		cox_err_set(err, rc, NULL, "what it printed is no JSON object");
	else if (!cox_str_eq_cstr(cox_json_str_at(v, "kind"), "ExecCredential"))
		cox_err_set(err, rc, "kind", "must be ExecCredential");
	else if (!cox_str_eq(cox_json_str_at(v, "apiVersion"), api_version))
		cox_err_set(err, rc, "apiVersion", "must be %.*s as the kubeconfig says", COX_FMT(api_version));
	else
		rc = status_read(cox_json_get(v, COX_STR("status")), out, err);
	cox_arena_fini(&arena);
	return rc;
}

static void on_output(void *ctx, int fd, const char *p, size_t n)
{
	struct cox_kube_exec_run *r = ctx;
	if (fd == 2) {
		cox_buf_append(&r->complaint, p, cox_min_size(n, EXEC_STDERR_BYTES_MAX - r->complaint.n));
	} else if (r->output.n + n > EXEC_OUTPUT_BYTES_MAX) {
		r->is_too_long = true;
	} else {
		cox_buf_append(&r->output, p, n);
	}
}

static void finish(struct cox_kube_exec_run *r, enum cox_rc rc, struct cox_kube_exec_result *result, struct cox_err *err)
{
	if (rc != COX_OK)
		cox_err_wrap(err, "%.*s: exec plug-in %.*s", COX_FMT(r->config->source), COX_FMT(r->config->exec->command));
	r->fn(r->ctx, rc, result, err); /* closes r */
	cox_kube_exec_result_fini(result);
}

static void on_exit_(void *ctx, int64_t status, int signal)
{
	struct cox_kube_exec_run *r = ctx;
	struct cox_kube_exec_result result = { 0 };
	struct cox_err err = { 0 };
	enum cox_rc rc;
	struct cox_str said = cox_str_trim(cox_buf_str(&r->complaint));
	if (signal)
		rc = cox_err_set(&err, COX_EAUTH, NULL, "was ended by signal %d", signal);
	else if (status != 0)
		rc = cox_err_set(&err, COX_EAUTH, NULL, "ended with status %d: %.*s", (int)status, COX_FMT(said));
	else if (r->is_too_long)
		rc = cox_err_set(&err, COX_ELIMIT, NULL, "printed more than 1 MiB");
	else
		rc = cox_kube_exec_result_parse(cox_buf_str(&r->output), r->config->exec->api_version, &result, &err);
	finish(r, rc, &result, &err);
}

static void on_deadline(void *ctx)
{
	struct cox_kube_exec_run *r = ctx;
	struct cox_kube_exec_result result = { 0 };
	struct cox_err err = { 0 };
	enum cox_rc rc = cox_err_set(&err, COX_ETIMEOUT, NULL, "did not answer within a minute");
	finish(r, rc, &result, &err);
}

/* KUBERNETES_EXEC_INFO, as the plug-ins expect it. */
static struct cox_str exec_info(struct cox_arena *a, const struct cox_kube_config *c)
{
	struct cox_buf out = { 0 };
	struct cox_json *info = cox_json_new_object(a), *spec = cox_json_new_object(a);
	cox_json_set(a, info, COX_STR("kind"), cox_json_new_str(a, COX_STR("ExecCredential")));
	cox_json_set(a, info, COX_STR("apiVersion"), cox_json_new_str(a, c->exec->api_version));
	cox_json_set(a, spec, COX_STR("interactive"), cox_json_new_bool(a, false));
	if (c->exec->provide_cluster_info) {
		struct cox_json *cluster = cox_json_new_object(a);
		cox_json_set(a, cluster, COX_STR("server"), cox_json_new_str(a, c->server));
		if (c->tls_server_name.n)
			cox_json_set(a, cluster, COX_STR("tls-server-name"), cox_json_new_str(a, c->tls_server_name));
		if (c->ca_pem.n) {
			struct cox_buf b64 = { 0 };
			cox_b64_encode(&b64, c->ca_pem);
			cox_json_set(a, cluster, COX_STR("certificate-authority-data"),
			             cox_json_new_str(a, cox_arena_str(a, cox_buf_str(&b64))));
			cox_buf_fini(&b64);
		}
		if (c->insecure)
			cox_json_set(a, cluster, COX_STR("insecure-skip-tls-verify"), cox_json_new_bool(a, true));
		cox_json_set(a, spec, COX_STR("cluster"), cluster);
	}
	cox_json_set(a, info, COX_STR("spec"), spec);
	cox_buf_append_cstr(&out, "KUBERNETES_EXEC_INFO=");
	cox_json_write(&out, info, 0, false);
	struct cox_str text = cox_arena_str(a, cox_buf_str(&out));
	cox_buf_fini(&out);
	return text;
}

/* Ours, without what is set anew (the first of two equal names would win). */
static const char *const *environment(struct cox_arena *a, const struct cox_kube_config *c)
{
	const struct cox_kube_exec *e = c->exec;
	size_t n = 0, at = 0;
	while (environ && environ[n])
		n++;
	const char **env = COX_ARENA_ARRAY(a, const char *, n + e->env.n + 2);
	for (size_t i = 0; i < n; i++) {
		struct cox_str name = cox_str_of(environ[i]);
		ptrdiff_t eq = cox_str_find(name, '=');
		name = cox_str_sub(name, 0, eq < 0 ? name.n : (size_t)eq);
		bool is_replaced = cox_str_eq_cstr(name, "KUBERNETES_EXEC_INFO");
		for (COX_EACH(struct cox_kv, kv, e->env))
			is_replaced |= cox_str_eq(kv->key, name);
		if (!is_replaced)
			env[at++] = environ[i];
	}
	for (COX_EACH(struct cox_kv, kv, e->env))
		env[at++] = cox_arena_printf(a, "%.*s=%.*s", COX_FMT(kv->key), COX_FMT(kv->value)).p;
	env[at++] = exec_info(a, c).p;
	return env;
}

enum cox_rc cox_kube_exec_run_open(struct cox_loop *loop, const struct cox_kube_config *config, cox_kube_exec_fn *fn, void *ctx,
                                   struct cox_kube_exec_run **out, struct cox_err *err)
{
	const struct cox_kube_exec *e = config->exec;
	struct cox_kube_exec_run *r = COX_NEW(struct cox_kube_exec_run);
	struct cox_arena a = { 0 };
	const char **argv = COX_ARENA_ARRAY(&a, const char *, e->args.n + 2);
	r->config = config;
	r->fn = fn;
	r->ctx = ctx;
	argv[0] = e->command.p;
	for (size_t i = 0; i < e->args.n; i++)
		argv[i + 1] = e->args.p[i].p;
	struct cox_proc_spec spec = {
		.argv = argv,
		.env = environment(&a, config),
		.stdin_ = COX_PROC_NULL,
		.stdout_ = COX_PROC_PIPE,
		.stderr_ = COX_PROC_PIPE,
		.on_output = on_output,
		.on_exit = on_exit_,
		.ctx = r,
	};
	enum cox_rc rc = cox_proc_open(loop, &spec, &r->proc, err);
	cox_arena_fini(&a);
	if (rc != COX_OK) {
		if (e->install_hint.n)
			cox_err_wrap(err, "%.*s", COX_FMT(e->install_hint));
		cox_err_wrap(err, "%.*s: exec plug-in %.*s", COX_FMT(config->source), COX_FMT(e->command));
		cox_free(r);
		return rc;
	}
	r->deadline = cox_timer_new(loop, on_deadline, r);
	cox_timer_start(r->deadline, EXEC_MS_MAX, 0);
	*out = r;
	return COX_OK;
}

void cox_kube_exec_run_close(struct cox_kube_exec_run **rp)
{
	struct cox_kube_exec_run *r = *rp;
	*rp = NULL;
	if (!r)
		return;
	cox_proc_close(&r->proc);
	cox_timer_free(&r->deadline);
	if (r->output.n)
		explicit_bzero(r->output.p, r->output.n);
	cox_buf_fini(&r->output);
	cox_buf_fini(&r->complaint);
	cox_free(r);
}
