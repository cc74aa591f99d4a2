/* For tests: objects in YAML text, fed into a registry. */
#ifndef COX_TEST_YAML_OBJECTS_H
#define COX_TEST_YAML_OBJECTS_H

#include "codec/yaml.h"
#include "registry/registry.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

struct yaml_feed {
	struct cox_registry *r;
	bool removes;
	size_t n;
};

static void yaml_feed_one(void *arg, struct cox_json *root, struct cox_str text, const struct cox_err *err)
{
	struct yaml_feed *feed = arg;
	(void)text;
	if (!root)
		fail_msg("line %d: %s", err->line, err->text);
	struct cox_arena arena = { 0 };
	struct cox_diags diags = { .arena = &arena };
	const struct cox_object *o = NULL;
	enum cox_rc rc = cox_object_build(root, COX_STR("test.yaml"), COX_STR("default"), &arena, &diags, &o);
	for (size_t i = 0; i < diags.n && rc != COX_OK; i++)
		fprintf(stderr, "%.*s: %.*s\n", COX_FMT(diags.items[i].path), COX_FMT(diags.items[i].text));
	assert_int_equal(rc, COX_OK);
	if (feed->removes)
		cox_registry_remove(feed->r, o->kind, o->meta.ns, o->meta.name);
	else
		cox_registry_put(feed->r, o);
	feed->n++;
	cox_object_unref(o);
	cox_arena_fini(&arena);
}

static void yaml_apply(struct cox_registry *r, const char *yaml, bool removes)
{
	struct cox_arena arena = { 0 };
	struct yaml_feed feed = { .r = r, .removes = removes };
	assert_int_equal(cox_yaml_each(&arena, cox_str_of(yaml), COX_JSON_BYTES_MAX, yaml_feed_one, &feed, NULL), COX_OK);
	cox_arena_fini(&arena);
}

static inline void yaml_put(struct cox_registry *r, const char *yaml) { yaml_apply(r, yaml, false); }
static inline void yaml_remove(struct cox_registry *r, const char *yaml) { yaml_apply(r, yaml, true); }

static inline const struct cox_svc_entry *svc_of(const struct cox_registry *r, const char *hostname, const char *ns)
{
	const struct cox_svc_entry *all;
	size_t n = cox_registry_svcs(r, &all);
	for (size_t i = 0; i < n; i++)
		if (cox_str_eq_cstr(all[i].svc->hostname, hostname) && (!ns || cox_str_eq_cstr(all[i].svc->ns, ns)))
			return &all[i];
	return NULL;
}

#define assert_str(s, cstr)                                                    \
	do {                                                                   \
		struct cox_str s_ = (s);                                       \
		if (!cox_str_eq_cstr(s_, cstr))                                \
			fail_msg("\"%.*s\" is not \"%s\"", COX_FMT(s_), cstr); \
	} while (0)

#endif
