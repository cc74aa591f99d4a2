/* For tests of what is made from one YAML document: it is parsed into an arena that lives as long as the test (setup and teardown). */
#ifndef COX_TEST_DOCUMENT_H
#define COX_TEST_DOCUMENT_H

#include "codec/yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static struct cox_arena arena;

static inline int setup(void **state)
{
	(void)state;
	arena = (struct cox_arena){ 0 };
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	cox_arena_fini(&arena);
	return 0;
}

static inline void document_take(void *arg, struct cox_json *root, struct cox_str text, const struct cox_err *err)
{
	(void)text;
	if (!root)
		fail_msg("YAML line %d: %s", err->line, err->text);
	*(struct cox_json **)arg = root;
}

/* The last document of the text; there is one. */
static inline struct cox_json *document(struct cox_str yaml)
{
	struct cox_json *root = NULL;
	assert_int_equal(cox_yaml_each(&arena, yaml, 1 << 20, document_take, &root, NULL), COX_OK);
	assert_non_null(root);
	return root;
}

#endif
