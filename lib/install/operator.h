/*
 * operator - what is to be installed: profile, files and --set as istioctl takes them (IstioOperator), turned into releases of charts.
 * Pure but for the files it is told to read. Thread: the caller's.
 */
#ifndef COX_INSTALL_OPERATOR_H
#define COX_INSTALL_OPERATOR_H

#include "install/charts.h"

enum cox_component { COX_COMPONENT_BASE, COX_COMPONENT_PILOT, COX_COMPONENT_INGRESS, COX_COMPONENT_EGRESS };
/* istioctl's word for it: "Base", "Pilot", "IngressGateways", "EgressGateways". */
const char *cox_component_name(enum cox_component c);

struct cox_operator_spec {
	const char *const *files; /* IstioOperator objects, the later over the earlier; "-": standard input */
	size_t file_n;
	const char *const *sets; /* "path=value" */
	size_t set_n;
	const char *revision; /* over everything; may be NULL */
	const char *ns;       /* of the control plane; NULL: as the settings say, else istio-system */
};

struct cox_operator_release {
	enum cox_component component;
	struct cox_chart_release release;
};
struct cox_operator {
	const struct cox_json *spec; /* everything laid over everything */
	struct cox_str ns, revision; /* revision: empty for the default one */
	struct cox_operator_release *releases;
	size_t release_n;
};
/* All of it in `arena`. COX_EINVAL, COX_ENOTFOUND: err->path is the setting. */
COX_MUST_USE enum cox_rc cox_operator_resolve(const struct cox_charts *charts, const struct cox_operator_spec *from,
                                              struct cox_arena *arena, struct cox_operator *out, struct cox_err *err);
/* A profile laid over `default`, as `profile dump` shows it; *out is its spec. */
COX_MUST_USE enum cox_rc cox_operator_profile(const struct cox_charts *charts, struct cox_str name, struct cox_arena *arena,
                                              const struct cox_json **out, struct cox_err *err);

/* "a.b[2].c\.d={x,y}" laid over `tree`; a value is typed as YAML types it, and text where quoted. Gives a new tree. */
COX_MUST_USE enum cox_rc cox_values_set(struct cox_arena *arena, const struct cox_json *tree, const char *assignment,
                                        const struct cox_json **out, struct cox_err *err);

#endif
