/*
 * hooks - which sidecar injectors there are and whom they take: `coxctl check-inject` and `coxctl injector list`.
 * Thread: any; pure.
 */
#ifndef COX_TOOL_HOOKS_H
#define COX_TOOL_HOOKS_H

#include "codec/json.h"

/* `hooks`: MutatingWebhookConfigurations; labels are objects, may be NULL. Appends a row for each of the mesh's, with why. Returns how many
 * would inject: more than one is a fault. */
size_t cox_hooks_check(const struct cox_json *hooks, const struct cox_json *pod_labels, const struct cox_json *ns_labels, bool has_color,
                       struct cox_buf *out);
/* Namespaces with the revision that injects there and those of their pods; then the hooks with their namespaces and images. `configs`:
 * ConfigMaps of injectors. `only` empty: all namespaces. */
void cox_hooks_list(const struct cox_json *namespaces, const struct cox_json *hooks, const struct cox_json *pods,
                    const struct cox_json *configs, struct cox_str istio_ns, struct cox_str only, struct cox_buf *out);

#endif
