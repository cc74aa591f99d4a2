/*
 * convert_priv - what a family of foreign objects needs: who it is (struct convert_family), what it may ask, and what it gives.
 */
#ifndef COX_CONVERT_PRIV_H
#define COX_CONVERT_PRIV_H

#include "convert/convert.h"

struct convert_run; /* one conversion of one family */

struct convert_family {
	const char *name;
	/* Without an object of these kinds there is nothing to do: the family costs nothing. */
	const enum cox_kind *inputs;
	size_t input_n;
	/* Makes everything anew from what the registry has. Pure: asks and says nothing but through the functions below. */
	void (*convert)(struct convert_run *run);
};
/* A new one: a file convert_<family>.c, a line here and one in the table of convert.c. */
extern const struct convert_family convert_ingress, convert_smi;
extern const struct convert_family convert_gateway_api;
extern const struct convert_family convert_mcs;

/* --- asking ------------------------------------------------------------------------------------------- */
/* All objects of a kind, sorted by id. It is remembered that they were asked for: any change of the kind, and the family runs again. */
size_t convert_list(struct convert_run *run, enum cox_kind kind, const struct cox_object *const **out);
/* One object, or NULL. It is remembered that it was asked for: when another one stands there, the family runs again. */
const struct cox_object *convert_find(struct convert_run *run, enum cox_kind kind, struct cox_str ns, struct cox_str name);
/* The mesh configuration; a change of it runs every family that has inputs. */
const struct cox_mesh_config *convert_mesh(const struct convert_run *run);
const struct cox_features *convert_features(const struct convert_run *run);
struct cox_str convert_domain(const struct convert_run *run);  /* "cluster.local" */
struct cox_str convert_root_ns(const struct convert_run *run); /* "istio-system" */
/* For whatever is made on the way; freed whole when the run ends. */
struct cox_arena *convert_arena(struct convert_run *run);
/* "reviews.default.svc.cluster.local" */
struct cox_str convert_host(struct convert_run *run, struct cox_str name, struct cox_str ns);

/* --- documents ------------------------------------------------------------------------------------------ */
/* A document of `kind` with metadata (age from `from`) and, as *spec, an empty spec to be filled. */
struct cox_json *convert_doc_new(struct convert_run *run, enum cox_kind kind, struct cox_str ns, struct cox_str name,
                                 const struct cox_object *from, struct cox_json **spec);
/* An annotation: for what Istio's API cannot say, under internal.istio.io/ (object.h). */
void convert_doc_annotate(struct convert_run *run, struct cox_json *doc, const char *key, struct cox_str value);
/* Members: new ones in place, text only where it is not empty. A place is valid until the next member of the same parent. */
struct cox_json *convert_object_at(struct convert_run *run, struct cox_json *to, const char *key); /* {} */
struct cox_json *convert_array_at(struct convert_run *run, struct cox_json *to, const char *key);  /* [] */
struct cox_json *convert_object_push(struct convert_run *run, struct cox_json *array);             /* {} */
void convert_str_at(struct convert_run *run, struct cox_json *to, const char *key, struct cox_str value);
void convert_i64_at(struct convert_run *run, struct cox_json *to, const char *key, int64_t value);
void convert_bool_at(struct convert_run *run, struct cox_json *to, const char *key, bool value);
void convert_str_push(struct convert_run *run, struct cox_json *array, struct cox_str value);

/* --- giving ----------------------------------------------------------------------------------------------- */
/* The document becomes an object, made from `path` (may be empty) of `from`. One that is refused is a finding about `from`. */
void convert_emit(struct convert_run *run, const struct cox_json *doc, const struct cox_object *from, struct cox_str path);
/* Whether the document could become an object; where not, the reasons are findings about `from` (NULL: about nobody). */
bool convert_check(struct convert_run *run, const struct cox_json *doc, const struct cox_object *from, struct cox_str path);
/* The status that `o` should have, without times. At most once an object. Copied. */
void convert_status(struct convert_run *run, const struct cox_object *o, const struct cox_json *status);
/* What is to be deployed for `o` (convert.h): an array of documents. At most once an object. */
void convert_deploy(struct convert_run *run, const struct cox_object *o, const struct cox_json *documents);
/* A condition for a list of conditions in such a status. */
void convert_condition(struct convert_run *run, struct cox_json *conditions, const struct cox_object *o, const char *type, bool is_true,
                       const char *reason, struct cox_str message);
void convert_finding(struct convert_run *run, const struct cox_object *o, enum cox_severity severity, struct cox_str path, const char *fmt,
                     ...) COX_PRINTF(5, 6);

#endif
