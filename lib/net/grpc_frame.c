#include "net/grpc_frame.h"

#include <stdio.h>

enum { HEAD_BYTES = 5, RESERVE_AT_ONCE_BYTES = 64 << 10 };

void cox_grpc_deframer_fini(struct cox_grpc_deframer *d)
{
	cox_buf_fini(&d->body);
	*d = (struct cox_grpc_deframer){ 0 };
}

static int read_head(struct cox_grpc_deframer *d, size_t max_bytes)
{
	if (d->head[0] > 1)
		return COX_GRPC_INTERNAL;
	if (d->head[0] == 1)
		return COX_GRPC_UNIMPLEMENTED;
	d->want_bytes = (uint32_t)d->head[1] << 24 | (uint32_t)d->head[2] << 16 | (uint32_t)d->head[3] << 8 | d->head[4];
	return d->want_bytes > max_bytes ? COX_GRPC_RESOURCE_EXHAUSTED : COX_GRPC_OK;
}

int cox_grpc_deframe(struct cox_grpc_deframer *d, const uint8_t *p, size_t n, size_t max_bytes,
                     bool (*on_message)(void *ctx, struct cox_str m), void *ctx)
{
	for (;;) {
		while (d->head_n < HEAD_BYTES && n > 0) {
			d->head[d->head_n++] = *p++;
			n--;
			if (d->head_n == HEAD_BYTES) {
				int status = read_head(d, max_bytes);
				if (status != COX_GRPC_OK)
					return status;
			}
		}
		if (d->head_n < HEAD_BYTES)
			return COX_GRPC_OK;
		size_t part = cox_min_size(n, d->want_bytes - d->body.n);
		struct cox_str message = { (const char *)p, part };
		if (part < d->want_bytes) { /* not whole in this piece: collect */
			/* The length is only a claim: room grows with what really comes. */
			if (d->body.n == 0)
				cox_buf_reserve(&d->body, cox_min_size(d->want_bytes, RESERVE_AT_ONCE_BYTES));
			cox_buf_append(&d->body, p, part);
			message = cox_buf_str(&d->body);
		}
		p += part;
		n -= part;
		if (message.n < d->want_bytes)
			return COX_GRPC_OK;
		d->head_n = 0;
		bool wants_more = on_message(ctx, message);
		cox_buf_fini(&d->body);
		if (!wants_more)
			return COX_GRPC_OK;
	}
}

enum cox_rc cox_grpc_timeout_parse(struct cox_str text, int64_t *ms)
{
	uint64_t n;
	if (text.n < 2 || text.n > 9 || text.p[0] < '0' || text.p[0] > '9' ||
	    cox_str_to_u64(cox_str_sub(text, 0, text.n - 1), &n) != COX_OK)
		return COX_EINVAL;
	int64_t value = (int64_t)n;
	switch (text.p[text.n - 1]) {
	case 'H': value *= 3600000; break;
	case 'M': value *= 60000; break;
	case 'S': value *= 1000; break;
	case 'm': break;
	case 'u': value /= 1000; break;
	case 'n': value /= 1000000; break;
	default: return COX_EINVAL;
	}
	*ms = value > 0 ? value : 1;
	return COX_OK;
}

void cox_grpc_timeout_format(int64_t ms, char out[16])
{
	static const struct {
		int64_t ms;
		char unit;
	} units[] = { { 1, 'm' }, { 1000, 'S' }, { 60000, 'M' }, { 3600000, 'H' } };
	size_t i = 0;
	while (i + 1 < COX_LEN(units) && ms / units[i].ms > 99999999)
		i++;
	int64_t n = ms / units[i].ms;
	unsigned value = n > 99999999 ? 99999999 : n < 1 ? 1 : (unsigned)n;
	snprintf(out, 16, "%u%c", value, units[i].unit);
}

void cox_grpc_message_encode(struct cox_str text, struct cox_buf *out)
{
	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];
		if (c < ' ' || c > '~' || c == '%')
			cox_buf_printf(out, "%%%02X", c);
		else
			cox_buf_append_char(out, (char)c);
	}
}

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void cox_grpc_message_decode(struct cox_str text, struct cox_buf *out)
{
	for (size_t i = 0; i < text.n; i++) {
		int hi = text.p[i] == '%' && i + 2 < text.n ? hex(text.p[i + 1]) : -1;
		int lo = hi >= 0 ? hex(text.p[i + 2]) : -1;
		if (lo >= 0) {
			cox_buf_append_char(out, (char)(hi * 16 + lo));
			i += 2;
		} else {
			cox_buf_append_char(out, text.p[i]); /* a broken escape is shown as it came */
		}
	}
}
