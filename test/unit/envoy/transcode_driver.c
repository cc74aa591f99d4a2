/* Runs the transcoder for test/protocol/test_transcode.py. Requests on stdin, each answered on stdout:
 *   "J TYPE FLAGS BYTES\n" + wire bytes -> JSON;  "W TYPE FLAGS BYTES\n" + JSON -> wire bytes
 * Answer: "OK BYTES\n" + bytes, or "ERR BYTES\n" + the error's text. */
#include "envoy/transcode.h"

#include <stdio.h>

static void answer(const char *word, struct cox_str bytes)
{
	printf("%s %zu\n", word, bytes.n);
	fwrite(bytes.p, 1, bytes.n, stdout);
	fflush(stdout);
}

static enum cox_rc transcode(char direction, const struct cox_envoy_message *m, unsigned flags, struct cox_str in, struct cox_arena *arena,
                             struct cox_buf *out, struct cox_err *err)
{
	struct cox_json *v;
	if (direction == 'J') {
		COX_TRY(cox_envoy_to_json(m, in, flags, arena, &v, err));
		cox_json_write(out, v, 0, false);
		return COX_OK;
	}
	COX_TRY(cox_json_parse(arena, in, &v, err));
	return cox_envoy_from_json(m, v, flags, out, err);
}

int main(void)
{
	char direction, type[256], text[1024];
	unsigned flags;
	size_t n;
	while (scanf("%c %255s %u %zu", &direction, type, &flags, &n) == 4 && getchar() == '\n') {
		struct cox_buf in = { 0 }, out = { 0 };
		struct cox_arena arena = { 0 };
		struct cox_err err = { 0 };
		cox_buf_reserve(&in, n);
		in.n = fread(in.p, 1, n, stdin);
		const struct cox_envoy_message *m = cox_envoy_message_find(cox_str_of(type));
		if (m == NULL)
			answer("ERR", COX_STR("no such message"));
		else if (transcode(direction, m, flags, cox_buf_str(&in), &arena, &out, &err) == COX_OK)
			answer("OK", cox_buf_str(&out));
		else
			answer("ERR", cox_str_of(cox_err_describe(&err, text, sizeof(text))));
		cox_arena_fini(&arena);
		cox_buf_fini(&in);
		cox_buf_fini(&out);
	}
	return 0;
}
