/* Frames of a WebSocket server. */
#include "net/ws_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cox_str rest = cox_str_make(data, size);
	struct cox_ws_frame f;
	struct cox_err err;
	size_t used;
	while (cox_ws_frame_read(rest, &f, &used, &err) == COX_OK) {
		if (used < 2 || used > rest.n || f.payload.n > used)
			__builtin_trap();
		rest = cox_str_sub(rest, used, SIZE_MAX);
	}
	return 0;
}
