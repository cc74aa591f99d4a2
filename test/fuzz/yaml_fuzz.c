/* Any bytes as YAML: every document that is accepted writes as YAML that reads back as an equal tree. */
#include "codec/yaml.h"
#include "source/dir_guess.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_again(void *arg, struct cox_json *root, struct cox_str text, const struct cox_err *err)
{
	const struct cox_json **want = arg;
	(void)text;
	if (err || !*want || !cox_json_eq(*want, root))
		abort();
	*want = NULL;
}

static size_t count_nodes(const struct cox_json *v)
{
	size_t n = 1;
	for (size_t i = 0; (v->type == COX_JSON_ARRAY || v->type == COX_JSON_OBJECT) && i < v->n; i++)
		n += count_nodes(v->type == COX_JSON_ARRAY ? &v->items[i] : &v->members[i].value);
	return n;
}

static void on_document(void *arg, struct cox_json *root, struct cox_str text, const struct cox_err *err)
{
	(void)arg;
	if ((root == NULL) == (err == NULL) || (err && !err->text[0]) || !text.n)
		abort();
	struct cox_dir_guess who = cox_dir_guess_object(text);
	if (who.name.n && (who.name.p < text.p || who.name.p + who.name.n > text.p + text.n))
		abort();
	if (!root || count_nodes(root) > 20000)
		return;
	struct cox_arena arena = { 0 };
	struct cox_buf out = { 0 };
	const struct cox_json *want = root;
	cox_json_write_yaml(&out, root);
	if (cox_yaml_each(&arena, cox_buf_str(&out), 16 << 20, on_again, &want, NULL) != COX_OK || want)
		abort();
	cox_buf_fini(&out);
	cox_arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cox_arena arena = { 0 };
	struct cox_err err = { 0 };
	if (cox_yaml_each(&arena, cox_str_make(data, size), 1 << 20, on_document, NULL, &err) != COX_OK && err.rc != COX_ELIMIT)
		abort();
	cox_arena_fini(&arena);
	return 0;
}
