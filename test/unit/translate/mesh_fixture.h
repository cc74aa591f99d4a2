/*
 * mesh_fixture - a snapshot from YAML text, for tests of translators. Header only: a unit test is one file.
 */
#ifndef COX_TEST_TRANSLATE_MESH_FIXTURE_H
#define COX_TEST_TRANSLATE_MESH_FIXTURE_H

#include "codec/yaml.h"
#include "registry/registry.h"
#include "snapshot/snapshot.h"
#include "translate/translate.h"

struct mesh {
	struct cox_registry *registry;
	struct cox_snapshot *s;
	struct cox_arena arena;
};

static inline void mesh_doc(void *arg, struct cox_json *root, struct cox_str text, const struct cox_err *err)
{
	struct mesh *m = arg;
	struct cox_diags diags = { .arena = &m->arena };
	const struct cox_object *o = NULL;
	(void)text, (void)err;
	assert_non_null(root);
	assert_int_equal(cox_object_build(root, COX_STR("test"), COX_STR("default"), &m->arena, &diags, &o), COX_OK);
	cox_registry_put(m->registry, o);
	cox_object_unref(o);
}

/* Puts the documents and builds the next generation. */
static inline void mesh_put(struct mesh *m, const char *yaml)
{
	struct cox_registry_changes changes = { 0 };
	struct cox_snapshot *before = m->s;
	assert_int_equal(cox_yaml_each(&m->arena, cox_str_of(yaml), 1 << 20, mesh_doc, m, NULL), COX_OK);
	cox_registry_take_changes(m->registry, &changes);
	cox_registry_changes_fini(&changes);
	m->s = cox_snapshot_build(m->registry, before);
	if (before != NULL)
		cox_snapshot_unref(before);
}

static inline struct mesh mesh_new(void)
{
	struct cox_registry_options o = { .domain = COX_STR("cluster.local"),
		                          .cluster_id = COX_STR("Kubernetes"),
		                          .root_namespace = COX_STR("istio-system") };
	return (struct mesh){ .registry = cox_registry_new(&o) };
}

static inline void mesh_free(struct mesh *m)
{
	if (m->s != NULL)
		cox_snapshot_unref(m->s);
	cox_registry_free(m->registry);
	cox_arena_fini(&m->arena);
}

/* A sidecar from a node in JSON. */
static inline struct cox_proxy *mesh_proxy(struct mesh *m, const char *node)
{
	struct cox_json *v = NULL;
	struct cox_proxy *p = NULL;
	struct cox_err err = { 0 };
	assert_int_equal(cox_json_parse(&m->arena, cox_str_of(node), &v, &err), COX_OK);
	assert_int_equal(cox_proxy_build(v, &p, &err), COX_OK);
	return p;
}

#endif
