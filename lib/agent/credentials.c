#include "agent/credentials.h"

#include "agent/files.h"
#include "agent/run.h"
#include "agent/secret.h"

#include <stdio.h>

enum { PATH_BYTES = 4096, TOKEN_BYTES_MAX = 64 * 1024 };

static enum cox_rc load_roots(const struct cox_agent_credentials_spec *spec, struct cox_buf *out, struct cox_err *err)
{
	if (!strcmp(spec->to->root_file, "SYSTEM"))
		return COX_OK; /* empty: OpenSSL's own */
	enum cox_rc rc = cox_agent_file_read(spec->to->root_file, out, err);
	if (rc != COX_OK && spec->roots_pem.n == 0)
		return rc;
	if (rc == COX_OK)
		cox_buf_append_char(out, '\n');
	cox_buf_append_str(out, spec->roots_pem);
	return COX_OK;
}

static enum cox_rc load_token(const struct cox_agent_credentials_spec *spec, struct cox_buf *authorization, struct cox_err *err)
{
	const char *path = spec->token_command ? "the output of CREDENTIAL_FETCHER_COMMAND" : spec->token_file;
	COX_AUTO(cox_agent_secret_fini) struct cox_buf text = { 0 };
	if (spec->token_command) {
		cox_buf_reserve(&text, 2 * TOKEN_BYTES_MAX); /* growing would leave copies behind */
		COX_TRY(cox_agent_run(spec->token_command, COX_STR(""), COX_AGENT_TOKEN_COMMAND_MS, &text, err));
	} else
		COX_TRY(cox_agent_file_read(path, &text, err));
	struct cox_str token = cox_str_trim(cox_buf_str(&text));
	for (size_t i = 0; i < token.n; i++)
		if (token.p[i] <= ' ' || token.p[i] > '~')
			return cox_err_set(err, COX_EINVAL, NULL, "%s is not a token", path);
	if (token.n == 0 || token.n > TOKEN_BYTES_MAX)
		return cox_err_set(err, COX_EINVAL, NULL, "%s is empty or longer than %d bytes", path, TOKEN_BYTES_MAX);
	cox_buf_reserve(authorization, token.n + 16);
	cox_buf_append_cstr(authorization, "Bearer ");
	cox_buf_append_str(authorization, token);
	return COX_OK;
}

/* The certificate that a virtual machine was given to begin with. */
static enum cox_rc load_provisioned(const char *dir, struct cox_buf *chain, struct cox_buf *key, struct cox_err *err)
{
	char path[PATH_BYTES];
	snprintf(path, sizeof(path), "%s/cert-chain.pem", dir);
	COX_TRY(cox_agent_file_read(path, chain, err));
	snprintf(path, sizeof(path), "%s/key.pem", dir);
	return cox_agent_file_read(path, key, err);
}

static enum cox_rc build_tls(const struct cox_agent_credentials_spec *spec, struct cox_str chain, struct cox_str key, struct cox_tls **out,
                             struct cox_err *err)
{
	COX_AUTO(cox_buf_fini) struct cox_buf roots = { 0 };
	if (spec->to->is_plain)
		return COX_OK;
	COX_TRY(load_roots(spec, &roots, err));
	struct cox_tls_spec tls = { .ca_pem = cox_buf_str(&roots), .cert_pem = chain, .key_pem = key };
	return cox_tls_new(&tls, out, err);
}

enum cox_rc cox_agent_credentials_load(const struct cox_agent_credentials_spec *spec, struct cox_agent_credentials *out,
                                       struct cox_err *err)
{
	COX_AUTO(cox_agent_credentials_fini) struct cox_agent_credentials c = { 0 };
	COX_AUTO(cox_buf_fini) struct cox_buf chain = { 0 };
	COX_AUTO(cox_agent_secret_fini) struct cox_buf key = { 0 };
	struct cox_str chain_pem = spec->chain_pem, key_pem = spec->key_pem;
	struct cox_err why = { 0 };
	/* A certificate proves nothing in clear text. */
	bool can_cert = !spec->to->is_plain;
	bool has_token = (!can_cert || !spec->prefers_cert || chain_pem.n == 0) && load_token(spec, &c.authorization, &why) == COX_OK;
	if (has_token || !can_cert)
		chain_pem = key_pem = COX_STR("");
	else if (chain_pem.n == 0 && spec->prov_cert && load_provisioned(spec->prov_cert, &chain, &key, &why) == COX_OK) {
		chain_pem = cox_buf_str(&chain);
		key_pem = cox_buf_str(&key);
	}
	if (!has_token && chain_pem.n == 0 && !spec->may_be_nobody)
		return cox_err_set(err, COX_EAUTH, NULL, "neither a token nor a certificate to ask with: %s", why.text);
	COX_TRY(build_tls(spec, chain_pem, key_pem, &c.tls, err));
	c.has_cert = chain_pem.n != 0;
	*out = c;
	memset(&c, 0, sizeof(c)); /* given */
	return COX_OK;
}

void cox_agent_credentials_fini(struct cox_agent_credentials *c)
{
	cox_tls_unref(&c->tls);
	cox_agent_secret_fini(&c->authorization);
}
