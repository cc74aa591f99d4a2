#include "net/tls_stream.h"

#include "net/tls_priv.h"

#include <openssl/err.h>

struct cox_tls_stream {
	SSL *ssl;
};

enum cox_rc cox_tls_stream_open(struct cox_tls *t, int fd, const char *server_name, const char *alpn, struct cox_tls_stream **out)
{
	unsigned char offer[32];
	size_t n = strlen(alpn);
	SSL *ssl;
	COX_ASSERT(n > 0 && n < sizeof(offer));
	COX_TRY(cox_tls_session_new(t, fd, server_name, &ssl));
	offer[0] = (unsigned char)n;
	memcpy(offer + 1, alpn, n);
	SSL_set_alpn_protos(ssl, offer, (unsigned)n + 1);
	SSL_set_mode(ssl, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_ENABLE_PARTIAL_WRITE);
	*out = COX_NEW(struct cox_tls_stream);
	(*out)->ssl = ssl;
	return COX_OK;
}

static enum cox_rc outcome(struct cox_tls_stream *s, int rc, size_t *n, bool *needs_write)
{
	int why = SSL_get_error(s->ssl, rc);
	bool was_open = SSL_is_init_finished(s->ssl);
	*n = 0;
	*needs_write = why == SSL_ERROR_WANT_WRITE;
	if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
		return COX_EAGAIN;
	ERR_clear_error();
	if (why == SSL_ERROR_ZERO_RETURN)
		return COX_OK;
	return was_open ? COX_EIO : COX_EAUTH;
}

enum cox_rc cox_tls_stream_read(struct cox_tls_stream *s, void *p, size_t cap, size_t *n, bool *needs_write)
{
	ERR_clear_error();
	int rc = SSL_read_ex(s->ssl, p, cap, n);
	return rc == 1 ? COX_OK : outcome(s, rc, n, needs_write);
}

enum cox_rc cox_tls_stream_write(struct cox_tls_stream *s, const void *p, size_t len, size_t *n, bool *needs_write)
{
	ERR_clear_error();
	int rc = SSL_write_ex(s->ssl, p, len, n);
	return rc == 1 ? COX_OK : outcome(s, rc, n, needs_write);
}

void cox_tls_stream_close(struct cox_tls_stream **sp)
{
	struct cox_tls_stream *s = COX_MOVE(*sp);
	if (s == NULL)
		return;
	SSL_free(s->ssl);
	cox_free(s);
}
