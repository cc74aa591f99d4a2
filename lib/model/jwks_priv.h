/*
 * jwks_priv - whether a text is a JSON Web Key Set, and one for verifying (RFC 7517, 7518, 8037). Keys are not built here: this says at
 * admission what a proxy would stumble over.
 */
#ifndef COX_MODEL_JWKS_PRIV_H
#define COX_MODEL_JWKS_PRIV_H

#include "codec/fields.h"

void cox_model_jwks_check(struct cox_str text, const char *path, struct cox_diags *d);

#endif
