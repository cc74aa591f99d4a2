/* operator - shared by operator.c and operator_k8s.c. */
#ifndef COX_INSTALL_OPERATOR_PRIV_H
#define COX_INSTALL_OPERATOR_PRIV_H

#include "install/operator.h"

enum { RELEASES_MAX = 64 };

/* `v` at "a.b.c" laid over `tree` (may be NULL). `path` is borrowed as long as the tree lives. */
const struct cox_json *operator_put(struct cox_arena *a, const struct cox_json *tree, const char *path, const struct cox_json *v);

/* components.pilot with its k8s settings, as values of chart istiod. */
enum cox_rc operator_pilot_values(struct cox_arena *a, const struct cox_json *component, const struct cox_json *values,
                                  const struct cox_json **out, struct cox_err *err);
/* One gateway of components with its k8s settings and its part of values.gateways, as values of chart gateway. */
enum cox_rc operator_gateway_values(struct cox_arena *a, const struct cox_json *gateway, bool is_egress, const struct cox_json *values,
                                    struct cox_str revision, const struct cox_json **out, struct cox_err *err);

#endif
