/*
 * keeper - what its files share: keeper.c is the state, set_watch.c the directory of a plugged-in CA, store*.c where objects are.
 */
#ifndef COX_CA_KEEPER_PRIV_H
#define COX_CA_KEEPER_PRIV_H

#include "ca/store_priv.h"
#include "loop/poll.h"
#include "loop/timer.h"

struct keeper;
/* An operator's set as it is now, of the directory or of the secret; NULL: there is none. */
void cox_ca_keeper_set_(struct keeper *k, const struct cox_ca_entries *e, bool is_dir);
void cox_ca_keeper_fault_(struct keeper *k, const struct cox_err *err);

struct cox_ca_set_watch_;
/* Reads the directory at once and after each change, and says what it holds; `dir` NULL: nothing, ever. */
void cox_ca_set_watch_open_(struct cox_loop *loop, const char *dir, struct keeper *k, struct cox_ca_set_watch_ **out);

#endif
