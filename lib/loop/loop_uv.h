/*
 * loop_uv - the libuv loop inside, for `loop` and `net` only.
 */
#ifndef COX_LOOP_LOOP_UV_H
#define COX_LOOP_LOOP_UV_H

#include "loop/loop.h"

#include <uv.h>

uv_loop_t *cox_loop_uv(struct cox_loop *l);
/* The category of a negative libuv result. */
enum cox_rc cox_rc_of_uv(int status);
/* The category of an errno. */
enum cox_rc cox_rc_of_errno(int number);

#endif
