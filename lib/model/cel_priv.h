/*
 * cel_priv - whether a text is an expression of the Common Expression Language: its grammar, not the meaning of names. Envoy refuses a
 * whole listener for one that is not.
 */
#ifndef COX_MODEL_CEL_PRIV_H
#define COX_MODEL_CEL_PRIV_H

#include "base/str.h"

/* NULL: it is one; else what is wrong, and where. */
const char *cox_model_cel_check(struct cox_str s, size_t *at);

#endif
