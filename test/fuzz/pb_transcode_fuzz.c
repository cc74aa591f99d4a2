/* Any bytes as any message: to JSON and back, then again; the second round must not change anything. The first two bytes choose the
 * message. */
#include "envoy/transcode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	const struct cox_envoy_message *m = cox_envoy_message_at((data[0] | (size_t)data[1] << 8) % cox_envoy_message_count());
	struct cox_arena arena = { 0 };
	struct cox_buf once = { 0 }, twice = { 0 }, text = { 0 };
	struct cox_json *v, *again;
	struct cox_err err;
	if (cox_envoy_to_json(m, cox_str_make(data + 2, size - 2), COX_TRANSCODE_KEEP_OPAQUE, &arena, &v, &err) == COX_OK) {
		cox_json_write(&text, v, 0, false);
		/* Depth is counted a little differently both ways, and an Any without a type has no JSON form to come back from. */
		if (cox_envoy_from_json(m, v, 0, &once, &err) == COX_OK &&
		    cox_envoy_to_json(m, cox_buf_str(&once), COX_TRANSCODE_KEEP_OPAQUE, &arena, &again, &err) == COX_OK) {
			COX_ASSERT(cox_envoy_from_json(m, again, 0, &twice, &err) == COX_OK);
			COX_ASSERT(cox_str_eq(cox_buf_str(&once), cox_buf_str(&twice)));
		}
	}
	/* The same bytes as JSON text. */
	if (cox_json_parse(&arena, cox_str_make(data + 2, size - 2), &v, &err) == COX_OK)
		(void)!cox_envoy_from_json(m, v, COX_TRANSCODE_IGNORE_UNKNOWN, &twice, &err);
	cox_buf_fini(&once);
	cox_buf_fini(&twice);
	cox_buf_fini(&text);
	cox_arena_fini(&arena);
	return 0;
}
