#include "agent/identity_job.h"

#include "agent/discovery.h"
#include "agent/files.h"
#include "agent/secret.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <sys/stat.h>

void cox_agent_cert_free(struct cox_agent_cert **cp)
{
	struct cox_agent_cert *c = COX_MOVE(*cp);
	if (!c)
		return;
	cox_agent_secret_fini(&c->key_pem);
	cox_buf_fini(&c->chain_pem);
	cox_buf_fini(&c->roots_pem);
	cox_free(c);
}

void cox_agent_identity_job_fini(struct cox_agent_identity_job *j)
{
	cox_agent_secret_fini(&j->key_pem);
	cox_agent_secret_fini(&j->new_key_pem);
	cox_buf_fini(&j->chain_pem);
	cox_buf_fini(&j->roots_pem);
	cox_buf_fini(&j->response);
	cox_buf_fini(&j->csr_pem);
	cox_agent_credentials_fini(&j->credentials);
	cox_agent_cert_free(&j->cert);
}

static enum cox_rc prepare(struct cox_agent_identity_job *j)
{
	const struct cox_agent_identity_config *c = j->config;
	struct cox_agent_credentials_spec spec = {
		.to = &c->ca,
		.token_file = c->token_file,
		.token_command = c->token_command,
		.prov_cert = c->prov_cert,
		.chain_pem = cox_buf_str(&j->chain_pem),
		.key_pem = cox_buf_str(&j->key_pem),
		.roots_pem = cox_buf_str(&j->roots_pem),
	};
	COX_TRY(cox_agent_credentials_load(&spec, &j->credentials, &j->err));
	COX_TRY(cox_key_make(c->key_type, c->sec1_or_pkcs1, &j->new_key_pem, &j->err));
	return cox_csr_make(cox_buf_str(&j->new_key_pem), c->spiffe_id, &j->csr_pem, &j->err);
}

void cox_agent_identity_job_prepare(struct cox_agent_identity_job *j) { j->rc = prepare(j); }

/* --- a certificate from PEM --------------------------------------------------------------- */

static enum cox_rc fill(struct cox_agent_cert *c, bool must_chain, struct cox_err *err)
{
	COX_AUTO(cox_arena_fini) struct cox_arena arena = { 0 };
	struct cox_cert_info info;
	c->obtained_ms = cox_clock_wall_ms();
	COX_TRY(cox_cert_read_pem(cox_buf_str(&c->chain_pem), &arena, &info, err));
	COX_TRY(cox_cert_check_key(cox_buf_str(&c->chain_pem), cox_buf_str(&c->key_pem), err));
	if (info.not_after_s <= c->obtained_ms / 1000)
		return cox_err_set(err, COX_EAUTH, NULL, "the certificate is good until a time that is over here: is the clock right?");
	if (must_chain)
		COX_TRY(cox_cert_verify(cox_buf_str(&c->chain_pem), cox_buf_str(&c->roots_pem), c->obtained_ms / 1000, err));
	cox_str_to_cstr(cox_str_of(info.serial), c->serial, sizeof(c->serial));
	cox_str_to_cstr(cox_str_of(info.issuer_key_id), c->issuer_key_id, sizeof(c->issuer_key_id));
	cox_str_to_cstr(info.uri_n ? info.uris[0] : COX_STR(""), c->uri, sizeof(c->uri));
	c->not_after_s = info.not_after_s;
	return COX_OK;
}

static enum cox_rc write_output(const char *dir, const struct cox_agent_cert *c, struct cox_err *err)
{
	if (mkdir(dir, 0755) != 0 && errno != EEXIST)
		return cox_err_set(err, COX_EIO, "OUTPUT_CERTS", "cannot make %s", dir);
	COX_TRY(cox_agent_file_write(dir, "key.pem", 0600, cox_buf_str(&c->key_pem), err));
	COX_TRY(cox_agent_file_write(dir, "cert-chain.pem", 0644, cox_buf_str(&c->chain_pem), err));
	return cox_agent_file_write(dir, "root-cert.pem", 0644, cox_buf_str(&c->roots_pem), err);
}

static void append_pem(struct cox_buf *out, struct cox_str pem)
{
	pem = cox_str_trim(pem);
	cox_buf_append_str(out, pem);
	cox_buf_append_char(out, '\n');
}

static enum cox_rc check(struct cox_agent_identity_job *j, struct cox_agent_cert *c)
{
	COX_AUTO(cox_arena_fini) struct cox_arena arena = { 0 };
	const struct cox_str *chain;
	size_t n;
	COX_TRY(cox_agent_csr_response_read(cox_buf_str(&j->response), &arena, &chain, &n, &j->err));
	for (size_t i = 0; i + 1 < n; i++)
		append_pem(&c->chain_pem, chain[i]);
	append_pem(&c->roots_pem, chain[n - 1]);
	cox_buf_reserve(&c->key_pem, j->new_key_pem.n);
	cox_buf_append_str(&c->key_pem, cox_buf_str(&j->new_key_pem));
	enum cox_rc rc = fill(c, true, &j->err);
	if (rc != COX_OK) {
		cox_err_wrap(&j->err, "the CA's answer");
		return rc;
	}
	struct cox_err err = { 0 };
	if (j->config->output_certs && write_output(j->config->output_certs, c, &err) != COX_OK)
		cox_log(COX_LOG_ERROR, "identity", "certificate could not be written error=\"%s\"", err.text);
	return COX_OK;
}

void cox_agent_identity_job_check(struct cox_agent_identity_job *j)
{
	struct cox_agent_cert *c = COX_NEW(struct cox_agent_cert);
	j->rc = check(j, c);
	if (j->rc == COX_OK)
		j->cert = COX_MOVE(c);
	cox_agent_cert_free(&c);
}

static enum cox_rc read_files(struct cox_agent_identity_job *j, struct cox_agent_cert *c)
{
	COX_TRY(cox_agent_file_read(j->config->chain_file, &c->chain_pem, &j->err));
	COX_TRY(cox_agent_file_read(j->config->key_file, &c->key_pem, &j->err));
	COX_TRY(cox_agent_file_read(j->config->root_file, &c->roots_pem, &j->err));
	enum cox_rc rc = fill(c, false, &j->err);
	if (rc != COX_OK)
		cox_err_wrap(&j->err, "%s", j->config->chain_file);
	return rc;
}

void cox_agent_identity_job_read(struct cox_agent_identity_job *j)
{
	struct cox_agent_cert *c = COX_NEW(struct cox_agent_cert);
	j->rc = read_files(j, c);
	if (j->rc == COX_OK)
		j->cert = COX_MOVE(c);
	cox_agent_cert_free(&c);
}
