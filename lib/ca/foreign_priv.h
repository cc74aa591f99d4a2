/*
 * foreign - what signing by a CA elsewhere has in common: a request that waits for its answer, what is asked of a CSR that the other CA
 * will read, and what is believed of a certificate that comes back. Checks are pure.
 * Thread: the config loop.
 */
#ifndef COX_CA_FOREIGN_PRIV_H
#define COX_CA_FOREIGN_PRIV_H

#include "ca/authority.h"

typedef void foreign_done_fn(void *ctx, enum cox_rc rc, const struct cox_ca_answer *a, const struct cox_err *err);

/* First member of a back end's own job, which cox_free() frees. */
struct foreign_job {
	struct cox_loop_task task;
	struct foreign_job **at, *next; /* in the back end's list */
	struct cox_arena arena;
	struct cox_ca *ca;
	struct cox_loop *loop;
	struct cox_ca_request r; /* copied */
	foreign_done_fn *done;
	void *ctx;
	enum cox_rc rc;
	struct cox_err err;
	struct cox_cert_info info; /* of the answer, with what follows */
	struct cox_str leaf_pem;
	const struct cox_ca_bundle *bundle;
};
void foreign_job_init(struct foreign_job *j, struct foreign_job **list, struct cox_ca *ca, struct cox_loop *loop,
                      const struct cox_ca_request *r, foreign_done_fn *done, void *ctx);
/* Takes the job off its list and out of the hands of its back end: done() comes from the loop, then the job is freed. */
void foreign_job_fail_take(struct foreign_job *j, enum cox_rc rc, const struct cox_err *err);
/* The same with the other CA's answer, leaf first; it is checked against `roots_pem`. */
void foreign_job_answer_take(struct foreign_job *j, struct cox_str pem, struct cox_str roots_pem);

/* The other CA copies names from the CSR: they must be those of the caller, all of them and no more. COX_EDENIED. */
COX_MUST_USE enum cox_rc foreign_check_csr(const struct cox_ca_request *r, struct cox_err *err);
/* Is it a leaf for the key and exactly the names that were asked for, does it hold now under `roots_pem`? `pem`: leaf, then its chain.
 * Texts live in `arena`; *chain_pem is without roots. COX_EPROTO. */
COX_MUST_USE enum cox_rc foreign_check_cert(const struct cox_ca_request *r, struct cox_str pem, struct cox_str roots_pem, int64_t now_s,
                                            struct cox_arena *arena, struct cox_cert_info *info, struct cox_str *leaf_pem,
                                            struct cox_str *chain_pem, struct cox_err *err);

#endif
