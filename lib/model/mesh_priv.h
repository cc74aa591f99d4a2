/*
 * mesh_priv - what in a mesh configuration is well written and does not do what its author may think.
 */
#ifndef COX_MODEL_MESH_PRIV_H
#define COX_MODEL_MESH_PRIV_H

#include "model/mesh.h"

/* Adds warnings, and errors for sources that cannot be had. `m` as decoded, before defaults. */
void cox_mesh_findings(const struct cox_mesh_config *m, struct cox_diags *diags);

#endif
