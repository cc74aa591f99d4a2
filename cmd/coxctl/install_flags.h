/* install_flags - what the verbs of an installation have in common. */
#ifndef COX_COXCTL_INSTALL_FLAGS_H
#define COX_COXCTL_INSTALL_FLAGS_H

#include "install/operator.h"
#include "tool/cli.h"

#define INSTALL_FLAG_MANIFESTS                                                                                           \
	{                                                                                                                \
		"manifests", 'd', "DIR", NULL, "a folder with charts/ and profiles/ instead of those in this program", 0 \
	}
#define INSTALL_FLAGS                                                                                                                  \
	{ "filename", 'f', "FILE|-", NULL, "an IstioOperator; the later over the earlier", COX_CLI_REPEATS },                          \
	    { "set", 's', "PATH=VALUE", NULL, "a setting: profile, hub, tag, components.*, meshConfig.*, values.*", COX_CLI_REPEATS }, \
	    { "revision", 'r', "NAME", NULL, "of the control plane", 0 }, INSTALL_FLAG_MANIFESTS,                                      \
	{                                                                                                                              \
		"force", 0, NULL, NULL, "", COX_CLI_IGNORED                                                                            \
	}

/* What the flags say; *charts is the caller's to close, and open only with COX_OK. */
COX_MUST_USE enum cox_rc install_resolve(const struct cox_cli *cli, struct cox_arena *arena, struct cox_charts **charts,
                                         struct cox_operator *out, struct cox_err *err);
/* Asks, unless -y is given. */
bool install_confirm(const struct cox_cli *cli, const char *question);

#endif
