#include "net/ws_frame.h"

enum {
	FIN = 0x80,
	RESERVED = 0x70,
	OPCODE = 0x0F,
	MASKED = 0x80,
	LENGTH = 0x7F,
	LENGTH_16 = 126,
	LENGTH_64 = 127,
	CONTROL_BYTES_MAX = 125
};

enum cox_rc cox_ws_frame_read(struct cox_str bytes, struct cox_ws_frame *out, size_t *used, struct cox_err *err)
{
	const unsigned char *p = (const unsigned char *)bytes.p;
	if (bytes.n < 2)
		return COX_EAGAIN;
	unsigned opcode = p[0] & OPCODE;
	uint64_t n = p[1] & LENGTH;
	size_t head = 2;
	if (p[0] & RESERVED)
		return cox_err_set(err, COX_EPROTO, NULL, "a WebSocket frame uses an extension that was not agreed on");
	if (p[1] & MASKED)
		return cox_err_set(err, COX_EPROTO, NULL, "a WebSocket frame of a server is masked");
	if (opcode > COX_WS_PONG || (opcode > COX_WS_BINARY && opcode < COX_WS_CLOSE))
		return cox_err_set(err, COX_EPROTO, NULL, "a WebSocket frame is of unknown kind %u", opcode);
	if (opcode >= COX_WS_CLOSE && (n > CONTROL_BYTES_MAX || !(p[0] & FIN)))
		return cox_err_set(err, COX_EPROTO, NULL, "a WebSocket control frame is too long or comes in parts");
	if (n >= LENGTH_16) {
		size_t more = n == LENGTH_16 ? 2 : 8;
		if (bytes.n < head + more)
			return COX_EAGAIN;
		n = 0;
		for (size_t i = 0; i < more; i++)
			n = n << 8 | p[head + i];
		head += more;
	}
	if (n > COX_WS_FRAME_BYTES_MAX)
		return cox_err_set(err, COX_ELIMIT, NULL, "a WebSocket frame is longer than %d bytes", COX_WS_FRAME_BYTES_MAX);
	if (bytes.n - head < n)
		return COX_EAGAIN;
	*out = (struct cox_ws_frame){ .opcode = (enum cox_ws_opcode)opcode,
		                      .is_last = (p[0] & FIN) != 0,
		                      .payload = cox_str_sub(bytes, head, (size_t)n) };
	*used = head + (size_t)n;
	return COX_OK;
}

void cox_ws_frame_write(struct cox_buf *out, enum cox_ws_opcode opcode, struct cox_str payload, uint32_t mask)
{
	unsigned char head[14];
	size_t n = 2;
	head[0] = (unsigned char)(FIN | opcode);
	if (payload.n < LENGTH_16) {
		head[1] = (unsigned char)(MASKED | payload.n);
	} else {
		size_t more = payload.n <= UINT16_MAX ? 2 : 8;
		head[1] = (unsigned char)(MASKED | (more == 2 ? LENGTH_16 : LENGTH_64));
		for (size_t i = 0; i < more; i++)
			head[n++] = (unsigned char)((uint64_t)payload.n >> (8 * (more - 1 - i)));
	}
	for (size_t i = 0; i < 4; i++)
		head[n++] = (unsigned char)(mask >> (8 * (3 - i)));
	cox_buf_append(out, head, n);
	char *p = cox_buf_reserve(out, payload.n);
	for (size_t i = 0; i < payload.n; i++)
		p[i] = (char)(payload.p[i] ^ (char)(mask >> (8 * (3 - i % 4))));
	out->n += payload.n;
}
