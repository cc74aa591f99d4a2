/* gRPC's framing, timeouts and status texts: any bytes, cut anywhere, give the same messages. */
#include "net/grpc_frame.h"

#include <stdlib.h>

struct seen {
	size_t n, bytes;
};
static bool on_message(void *ctx, struct cox_str m)
{
	struct seen *s = ctx;
	s->n++;
	s->bytes += m.n;
	for (size_t i = 0; i < m.n; i++)
		((volatile const char *)m.p)[i];
	return true;
}

static int run(const uint8_t *p, size_t n, size_t step, struct seen *s)
{
	struct cox_grpc_deframer d = { 0 };
	int status = 0;
	for (size_t at = 0; at < n && status == 0; at += step)
		status = cox_grpc_deframe(&d, p + at, cox_min_size(step, n - at), 4096, on_message, s);
	cox_grpc_deframer_fini(&d);
	return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct seen whole = { 0 }, cut = { 0 };
	struct cox_buf text = { 0 }, again = { 0 };
	int64_t ms;
	char format[16];
	if (n < 1)
		return 0;
	size_t step = 1 + p[0] % 32;
	if (run(p + 1, n - 1, n, &whole) != run(p + 1, n - 1, step, &cut) || whole.n != cut.n || whole.bytes != cut.bytes)
		abort();
	struct cox_str s = cox_str_make(p + 1, n - 1);
	if (cox_grpc_timeout_parse(s, &ms) == COX_OK) {
		cox_grpc_timeout_format(ms, format);
		if (ms < 1 || cox_grpc_timeout_parse(cox_str_of(format), &ms) != COX_OK)
			abort();
	}
	cox_grpc_message_decode(s, &text);
	cox_buf_clear(&text);
	cox_grpc_message_encode(s, &text);
	cox_grpc_message_decode(cox_buf_str(&text), &again);
	if (!cox_str_eq(s, cox_buf_str(&again)))
		abort();
	cox_buf_fini(&text);
	cox_buf_fini(&again);
	return 0;
}
