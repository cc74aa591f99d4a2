#include "ca/wire.h"

#include "ca/csr.h"
#include "codec/pb_read.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEAD_BYTES = 5, READ_BYTES = 64 * 1024, ITEM_OVERHEAD = 16 };

enum field {
	F_ID = 1,
	F_RC,
	F_PHASE,
	F_PLUGGED,
	F_TTL,
	F_ROOT_END,
	F_ISSUER_END,
	F_TEXT,
	F_SPKI,
	F_CALLER,
	F_CERT,
	F_CHAIN,
	F_CRL,
	F_KEY_ID,
	F_ROOT,
	F_URI,
	F_DNS,
	F_ISSUER,
	F_REVOKED,
	F_SERIAL,
	F_NOT_BEFORE,
	F_NOT_AFTER,
	F_END
};
enum issuer_field { FI_CERT = 1, FI_KEY, FI_SIGNS };
enum revoked_field { FR_SERIAL = 1, FR_AT };

/* Members by field number: encoder, decoder and size all go by this table. */
#define AT(member) offsetof(struct cox_wire, member)
static const struct {
	enum field number;
	size_t at;
} texts[] = {
	{ F_TEXT, AT(text) },     { F_SPKI, AT(spki_der) },   { F_CALLER, AT(caller) }, { F_CERT, AT(cert_pem) },
	{ F_SERIAL, AT(serial) }, { F_CHAIN, AT(chain_pem) }, { F_CRL, AT(crl_pem) },   { F_KEY_ID, AT(key_id) },
};
static const struct {
	enum field number;
	size_t at, n_at;
} lists[] = {
	{ F_ROOT, AT(roots), AT(root_n) },
	{ F_URI, AT(uris), AT(uri_n) },
	{ F_DNS, AT(dns), AT(dns_n) },
};
static const struct {
	enum field number;
	size_t at;
} numbers[] = {
	{ F_ID, AT(id) },
	{ F_TTL, AT(ttl_s) },
	{ F_ROOT_END, AT(root_not_after_s) },
	{ F_ISSUER_END, AT(issuer_not_after_s) },
	{ F_NOT_BEFORE, AT(not_before_s) },
	{ F_NOT_AFTER, AT(not_after_s) },
};

static const void *in(const struct cox_wire *m, size_t at) { return (const char *)m + at; }
static void *place(struct cox_wire *m, size_t at) { return (char *)m + at; }

/* --- encode ----------------------------------------------------------------------------------------- */

static size_t size_of(const struct cox_wire *m)
{
	size_t n = HEAD_BYTES + F_END * ITEM_OVERHEAD;
	for (size_t i = 0; i < COX_LEN(texts); i++)
		n += ((const struct cox_str *)in(m, texts[i].at))->n + ITEM_OVERHEAD;
	for (size_t i = 0; i < COX_LEN(lists); i++) {
		struct cox_str *const *items = in(m, lists[i].at);
		for (size_t k = 0; k < *(const size_t *)in(m, lists[i].n_at); k++)
			n += (*items)[k].n + ITEM_OVERHEAD;
	}
	for (size_t i = 0; i < m->issuer_n; i++)
		n += m->issuers[i].cert_pem.n + m->issuers[i].key_pem.n + 3 * ITEM_OVERHEAD;
	for (size_t i = 0; i < m->revoked_n; i++)
		n += m->revoked[i].serial.n + 3 * ITEM_OVERHEAD;
	return n;
}

static void put_text(struct cox_pb_at at, uint32_t number, struct cox_str s)
{
	if (s.n)
		cox_pb_put_bytes(at, number, s);
}

static void put_number(struct cox_pb_at at, uint32_t number, uint64_t v)
{
	if (v)
		cox_pb_put_varint(at, number, v);
}

static void put_body(const struct cox_wire *m, struct cox_buf *out)
{
	struct cox_pb pb;
	cox_pb_init(&pb, out);
	struct cox_pb_at at = cox_pb_root(&pb);
	for (size_t i = 0; i < COX_LEN(numbers); i++)
		put_number(at, numbers[i].number, *(const uint64_t *)in(m, numbers[i].at));
	put_number(at, F_RC, m->rc);
	put_number(at, F_PHASE, m->phase);
	put_number(at, F_PLUGGED, m->is_plugged_in);
	for (size_t i = 0; i < COX_LEN(texts); i++)
		put_text(at, texts[i].number, *(const struct cox_str *)in(m, texts[i].at));
	for (size_t i = 0; i < COX_LEN(lists); i++) {
		struct cox_str *const *items = in(m, lists[i].at);
		for (size_t k = 0; k < *(const size_t *)in(m, lists[i].n_at); k++)
			cox_pb_put_bytes(at, lists[i].number, (*items)[k]);
	}
	for (size_t i = 0; i < m->issuer_n; i++) {
		struct cox_pb_at item = cox_pb_begin(at, F_ISSUER);
		put_text(item, FI_CERT, m->issuers[i].cert_pem);
		put_text(item, FI_KEY, m->issuers[i].key_pem);
		put_number(item, FI_SIGNS, m->issuers[i].signs);
		cox_pb_end(item);
	}
	for (size_t i = 0; i < m->revoked_n; i++) {
		struct cox_pb_at item = cox_pb_begin(at, F_REVOKED);
		put_text(item, FR_SERIAL, m->revoked[i].serial);
		put_number(item, FR_AT, (uint64_t)m->revoked[i].at_s);
		cox_pb_end(item);
	}
	cox_pb_end(at);
}

/* Growing by hand: the block that held a key before is wiped. */
static void reserve_secret(struct cox_buf *b, size_t extra)
{
	struct cox_buf grown = { 0 };
	if (b->cap - b->n >= extra)
		return;
	cox_buf_reserve(&grown, cox_max_size(b->n + extra, b->cap + b->cap / 2)); /* in few steps, where nobody reads */
	cox_buf_append(&grown, b->p, b->n);
	cox_wipe(b);
	cox_buf_fini(b);
	*b = grown;
}

enum cox_rc cox_wire_encode(const struct cox_wire *m, struct cox_buf *out)
{
	size_t start = out->n, room = size_of(m);
	if (room > COX_WIRE_FRAME_BYTES_MAX)
		return COX_ELIMIT;
	reserve_secret(out, room);
	memset(out->p + start, 0, HEAD_BYTES);
	out->n += HEAD_BYTES;
	put_body(m, out);
	size_t body = out->n - start - HEAD_BYTES;
	COX_ASSERT(body + HEAD_BYTES <= room);
	for (unsigned i = 0; i < 4; i++)
		out->p[start + i] = (char)(body >> (8 * i));
	out->p[start + 4] = (char)m->type;
	return COX_OK;
}

/* --- decode ----------------------------------------------------------------------------------------- */

/* Lists are counted first, so that they are made in one piece. */
static enum cox_rc count_items(struct cox_str body, struct cox_arena *arena, struct cox_wire *m, struct cox_err *err)
{
	struct cox_pb_reader r = cox_pb_reader(body);
	struct cox_pb_field f;
	size_t counts[F_END] = { 0 };
	while (cox_pb_next(&r, &f))
		if (f.number < F_END && ++counts[f.number] > COX_WIRE_ITEMS_MAX)
			return cox_err_set(err, COX_ELIMIT, NULL, "message %d: a list of more than %d", (int)m->type, COX_WIRE_ITEMS_MAX);
	COX_TRY(cox_pb_finish(&r, err));
	for (size_t i = 0; i < COX_LEN(lists); i++)
		if (counts[lists[i].number])
			*(struct cox_str **)place(m, lists[i].at) = COX_ARENA_ARRAY(arena, struct cox_str, counts[lists[i].number]);
	if (counts[F_ISSUER])
		m->issuers = COX_ARENA_ARRAY(arena, struct cox_wire_issuer, counts[F_ISSUER]);
	if (counts[F_REVOKED])
		m->revoked = COX_ARENA_ARRAY(arena, struct cox_wire_revoked, counts[F_REVOKED]);
	return COX_OK;
}

static void read_issuer(struct cox_pb_reader *r, const struct cox_pb_field *f, struct cox_wire_issuer *out)
{
	struct cox_pb_reader inner = cox_pb_as_message(r, f);
	struct cox_pb_field g;
	while (cox_pb_next(&inner, &g))
		if (g.number == FI_CERT)
			out->cert_pem = cox_pb_as_bytes(&inner, &g);
		else if (g.number == FI_KEY)
			out->key_pem = cox_pb_as_bytes(&inner, &g);
		else if (g.number == FI_SIGNS)
			out->signs = cox_pb_as_bool(&inner, &g);
	cox_pb_adopt(r, &inner);
}

static void read_revoked(struct cox_pb_reader *r, const struct cox_pb_field *f, struct cox_wire_revoked *out)
{
	struct cox_pb_reader inner = cox_pb_as_message(r, f);
	struct cox_pb_field g;
	while (cox_pb_next(&inner, &g))
		if (g.number == FR_SERIAL)
			out->serial = cox_pb_as_bytes(&inner, &g);
		else if (g.number == FR_AT)
			out->at_s = cox_pb_as_i64(&inner, &g);
	cox_pb_adopt(r, &inner);
}

static void read_field(struct cox_pb_reader *r, const struct cox_pb_field *f, struct cox_wire *m)
{
	for (size_t i = 0; i < COX_LEN(numbers); i++)
		if (f->number == numbers[i].number)
			*(uint64_t *)place(m, numbers[i].at) = cox_pb_as_u64(r, f);
	for (size_t i = 0; i < COX_LEN(texts); i++)
		if (f->number == texts[i].number)
			*(struct cox_str *)place(m, texts[i].at) = cox_pb_as_bytes(r, f);
	for (size_t i = 0; i < COX_LEN(lists); i++)
		if (f->number == lists[i].number) {
			size_t *n = place(m, lists[i].n_at);
			(*(struct cox_str **)place(m, lists[i].at))[(*n)++] = cox_pb_as_bytes(r, f);
		}
	switch (f->number) {
	case F_RC: m->rc = (uint32_t)cox_pb_as_u64(r, f); break;
	case F_PHASE: m->phase = (uint32_t)cox_pb_as_u64(r, f); break;
	case F_PLUGGED: m->is_plugged_in = cox_pb_as_bool(r, f); break;
	case F_ISSUER: read_issuer(r, f, &m->issuers[m->issuer_n++]); break;
	case F_REVOKED: read_revoked(r, f, &m->revoked[m->revoked_n++]); break;
	default: break;
	}
}

enum cox_rc cox_wire_decode(struct cox_str *bytes, struct cox_arena *arena, struct cox_wire *out, struct cox_err *err)
{
	const unsigned char *p = (const unsigned char *)bytes->p;
	if (bytes->n < HEAD_BYTES)
		return COX_EAGAIN;
	size_t n = (size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;
	if (n > COX_WIRE_FRAME_BYTES_MAX)
		return cox_err_set(err, COX_ELIMIT, NULL, "a frame of %zu bytes", n);
	if (p[4] == 0 || p[4] >= COX_WIRE_TYPE_END)
		return cox_err_set(err, COX_EPROTO, NULL, "no message has type %d", p[4]);
	if (bytes->n - HEAD_BYTES < n)
		return COX_EAGAIN;
	struct cox_str body = cox_str_sub(*bytes, HEAD_BYTES, n);
	struct cox_wire m = { .type = (enum cox_wire_type)p[4] };
	COX_TRY(count_items(body, arena, &m, err));
	struct cox_pb_reader r = cox_pb_reader(body);
	struct cox_pb_field f;
	while (cox_pb_next(&r, &f))
		read_field(&r, &f, &m);
	COX_TRY(cox_pb_finish(&r, err));
	*bytes = cox_str_sub(*bytes, HEAD_BYTES + n, bytes->n);
	*out = m;
	return COX_OK;
}

/* --- channels --------------------------------------------------------------------------------------- */

void cox_wire_chan_init(struct cox_wire_chan *c, int fd, bool is_secret)
{
	*c = (struct cox_wire_chan){ .fd = fd, .is_secret = is_secret };
}

void cox_wire_chan_fini(struct cox_wire_chan *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	cox_wipe(&c->in);
	cox_wipe(&c->out);
	cox_buf_fini(&c->in);
	cox_buf_fini(&c->out);
}

enum cox_rc cox_wire_flush(struct cox_wire_chan *c)
{
	while (c->out_sent < c->out.n) {
		ssize_t n = send(c->fd, c->out.p + c->out_sent, c->out.n - c->out_sent, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK ? COX_EAGAIN : COX_EIO;
		c->out_sent += (size_t)n;
	}
	if (c->is_secret)
		cox_wipe(&c->out);
	cox_buf_clear(&c->out);
	c->out_sent = 0;
	return COX_OK;
}

enum cox_rc cox_wire_fill(struct cox_wire_chan *c)
{
	if (c->in_used) {
		size_t rest = c->in.n - c->in_used;
		memmove(c->in.p, c->in.p + c->in_used, rest);
		if (c->is_secret)
			OPENSSL_cleanse(c->in.p + rest, c->in.cap - rest);
		c->in.n = rest;
		c->in_used = 0;
	}
	reserve_secret(&c->in, READ_BYTES);
	for (;;) {
		ssize_t n = recv(c->fd, c->in.p + c->in.n, c->in.cap - c->in.n, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK ? COX_EAGAIN : COX_EIO;
		if (n == 0)
			return COX_EIO;
		c->in.n += (size_t)n;
		return COX_OK;
	}
}

enum cox_rc cox_wire_next(struct cox_wire_chan *c, struct cox_arena *arena, struct cox_wire *out, struct cox_err *err)
{
	struct cox_str rest = cox_str_sub(cox_buf_str(&c->in), c->in_used, c->in.n);
	size_t before = rest.n;
	enum cox_rc rc = cox_wire_decode(&rest, arena, out, err);
	if (rc == COX_OK)
		c->in_used += before - rest.n;
	return rc;
}
