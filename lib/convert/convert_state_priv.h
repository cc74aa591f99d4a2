/*
 * convert_state_priv - what convert.c (when) and convert_make.c (what a family may ask and give) share. Not for families.
 */
#ifndef COX_CONVERT_STATE_PRIV_H
#define COX_CONVERT_STATE_PRIV_H

#include "convert/convert_priv.h"

struct convert_lookup { /* asked for by name, and what stood there */
	enum cox_kind kind;
	struct cox_str ns, name;
	const struct cox_object *found; /* a reference, or NULL */
};
struct convert_made {
	const struct cox_object *o; /* a reference */
	struct cox_hash doc;        /* of the document that it was built from, and its origin */
};
struct convert_said {                  /* the status of an object, or what is deployed for it */
	const struct cox_object *o;    /* a reference */
	const struct cox_json *status; /* during the run only */
	struct cox_hash hash;
};

struct convert_words {
	COX_VEC(struct convert_said) items;
	struct cox_map by_id; /* object id -> index + 1 */
};

/* What a run made; afterwards that of the family until the next one. */
struct convert_result {
	struct cox_arena text; /* of findings and lookups */
	COX_VEC(struct convert_made) made;
	struct cox_map by_id; /* object id -> index in `made` + 1 */
	struct convert_words said, deployed;
	COX_VEC(struct cox_convert_finding) findings;
	COX_VEC(struct convert_lookup) lookups;
	bool is_listed[COX_KIND_COUNT];
	struct cox_map looked_up; /* "<kind>/<ns>/<name>" -> index + 1 */
};

struct convert_state { /* of a family */
	const struct convert_family *family;
	struct convert_result is;
	COX_VEC(const struct cox_object *) shadowed; /* of is.made: somebody's object has the name; borrowed */
	uint64_t stamp, lookup_stamp;                /* sums of cox_registry_kind_changes(), each of which only grows */
	struct cox_hash mesh;
};

struct convert_run {
	struct cox_registry *registry;
	const struct convert_family *family;
	struct convert_result *out;
	const struct convert_result *was; /* of the run before: equal documents are not built again */
	struct cox_arena scratch;
};

void convert_result_fini(struct convert_result *r);
/* Of convert_result.looked_up. In `a`. */
struct cox_str convert_lookup_key(struct cox_arena *a, enum cox_kind kind, struct cox_str ns, struct cox_str name);
/* What was made under an id, or NULL. */
const struct convert_made *convert_made_find(const struct convert_result *r, struct cox_str id);

#endif
