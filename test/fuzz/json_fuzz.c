/* Any bytes as JSON: what is accepted writes back to an equal tree, in every form. */
#include "codec/json.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_again(const struct cox_json *v, unsigned indent, bool sorted)
{
	struct cox_arena arena = { 0 };
	struct cox_buf text = { 0 };
	struct cox_json *again = NULL;
	cox_json_write(&text, v, indent, sorted);
	if (cox_json_parse(&arena, cox_buf_str(&text), &again, NULL) != COX_OK || !cox_json_eq(v, again))
		abort();
	cox_buf_fini(&text);
	cox_arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cox_arena arena = { 0 };
	struct cox_json *v = NULL;
	struct cox_err err = { 0 };
	if (cox_json_parse(&arena, cox_str_make(data, size), &v, &err) == COX_OK) {
		int64_t i;
		check_again(v, 0, false);
		/* Indenting a deep and wide tree makes much text of few bytes. */
		if (size < 4096)
			check_again(v, 2, true);
		if (!cox_json_eq(v, cox_json_clone(&arena, v)))
			abort();
		(void)!cox_json_to_i64(v, &i);
	} else if (!err.text[0] || v) {
		abort();
	}
	cox_arena_fini(&arena);
	return 0;
}
