/*
 * convert - routing objects of other APIs (Ingress, SMI, ...) become Istio's own: VirtualService, Gateway, DestinationRule, ...
 * Thread: the config loop. Owns: the generated objects, which it puts into the registry and takes out of it.
 *
 *   registry's objects --family's converter--> documents --cox_object_build_generated()--> generated objects --> registry
 *                                        \--> statuses for the objects that they came from, and findings
 *
 * A family (convert_priv.h) runs again only when what it read has changed; only objects that differ are put or removed. From there on a
 * generated object is one like any other, but for its flag (`is_generated`): nobody writes a status of it, and its origin names the
 * object, and the field, that it came from. One of the same name that somebody wrote wins, and is a finding.
 */
#ifndef COX_CONVERT_CONVERT_H
#define COX_CONVERT_CONVERT_H

#include "registry/registry.h"

struct cox_convert;
struct cox_convert_options {
	struct cox_registry *registry; /* borrowed */
	/* The status that an object should have was computed and is another one than before (the first time it is always said); `status`:
	 * the object's field "status", without times, borrowed until return; NULL: the object is there, but none of ours to speak about any
	 * more. May be NULL. */
	void (*on_status)(void *arg, const struct cox_object *o, const struct cox_json *status);
	/* What is to be deployed for an object of ours is another than before (the first time it is always said): an array of Kubernetes
	 * documents, in the order in which they are applied, borrowed until return; NULL: nothing any more. May be NULL. */
	void (*on_deploy)(void *arg, const struct cox_object *o, const struct cox_json *documents);
	/* A Secret or ConfigMap is looked up, or not any more: it is to be watched. May be NULL: all are there. */
	void (*want)(void *arg, enum cox_kind kind, struct cox_str ns, struct cox_str name, bool is_wanted);
	void *arg;
};
/* Copies the options. */
struct cox_convert *cox_convert_new(const struct cox_convert_options *opts);
/* What it generated stays in the registry. Accepts NULL. */
void cox_convert_free(struct cox_convert *c);
/* Brings the generated objects up to date with the registry. Right before cox_registry_take_changes(); cheap where nothing changed. */
void cox_convert_run(struct cox_convert *c);

/* What is odd about an object that was converted: a service, port or class that is not known, a field without effect. */
struct cox_convert_finding {
	struct cox_str object_id, path, text;
	enum cox_severity severity;
};
/* Of all families, sorted by object; borrowed until the next run. The array is in `arena`. */
size_t cox_convert_findings(const struct cox_convert *c, struct cox_arena *arena, const struct cox_convert_finding **out);
/* The object and the field that a generated one came from: the two parts of its origin. */
void cox_convert_origin(const struct cox_object *generated, struct cox_str *object_id, struct cox_str *path);

#endif
