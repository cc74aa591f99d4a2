/*
 * go_types - JSON trees as templates of an injector's ConfigMap see them: as Go's structs of a pod and of the mesh configuration, with
 * their members' Go names, zero values, protobuf getters and the order of their fields in JSON. The table is generated
 * (hack/istio/gotypes).
 */
#ifndef COX_INJECT_GO_TYPES_H
#define COX_INJECT_GO_TYPES_H

#include "template/template.h"

enum {
	GO_OMIT = 1,    /* left out of JSON where it is empty */
	GO_POINTER = 2, /* nil where it is not set */
	GO_GETTER = 4   /* part of a oneof: has a getter only */
};
enum go_kind { GO_STRUCT, GO_MESSAGE, GO_WRAPPER, GO_ENUM };
struct go_member {
	const char *go, *json;
	/* s text, i whole, f float, b truth, S struct, E enumeration, L list, M map, x text of its own kind, j any JSON; item: of L and M
	 */
	char kind, item;
	unsigned char flags;
	int of; /* type of S, E or of the items; the number of an enumeration's name */
};
struct go_type {
	const char *name;
	enum go_kind kind;
	int first, n;
};
extern const struct go_member inject_go_members[];
extern const struct go_type inject_go_types[];
extern const size_t inject_go_type_n, inject_go_type_meta, inject_go_object_meta, inject_go_pod_spec, inject_go_mesh_config,
    inject_go_proxy_config;
/* Istio's mesh configuration where nothing is set, as JSON. */
extern const char inject_mesh_defaults[];

/* The tree seen as that type; NULL: its zero value, or nil where it is a pointer. */
struct cox_template_value inject_go_view(size_t type, const struct cox_json *v, bool is_pointer);
/* The tree under a view and its type; NULL: `v` is no view. */
const struct go_type *inject_go_type_of(const struct cox_template_value *v);
const struct cox_json *inject_go_json_of(const struct cox_template_value *v);
/* As Go's encoders write it: members in the order of the type, what is empty left out, others dropped. */
struct cox_json inject_go_encode(struct cox_arena *arena, const struct go_type *type, const struct cox_json *v);
/* A pod's list, as templates see it. */
struct cox_template_value inject_go_member(struct cox_arena *arena, const struct go_member *m, const struct cox_json *v);

/* Istio's functions for injection templates (go_funcs.c). */
extern const struct cox_template_func inject_template_funcs[];
extern const size_t inject_template_func_n;

#endif
