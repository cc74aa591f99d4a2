#include "agent/identity.h"

#include "agent/ca_call.h"
#include "agent/files.h"
#include "agent/identity_job.h"
#include "agent/secret.h"
#include "base/clock.h"
#include "base/log.h"
#include "loop/timer.h"

enum {
	BACKOFF_FIRST_MS = 200,
	BACKOFF_MAX_MS = 30 * 1000,
	BACKOFF_JITTER_PERCENT = 30,
	TICK_MS = 60 * 1000, /* the wall clock may have jumped: looked at this often */
	RENEW_MIN_MS = 1000, /* between two certificates, whatever clocks and servers say */
	FILES_POLL_MS = 1000,
	DICE_SIDES = 20001,
};

enum state { WAITING, PREPARING, ASKING, CHECKING };

struct cox_agent_identity {
	struct cox_agent_identity_spec spec;
	struct cox_timer *timer;
	struct cox_agent_identity_job *job; /* with a worker, or between two */
	struct cox_agent_ca_call *call;
	struct cox_agent_cert *cert;
	enum state state;
	bool is_worker_busy, is_closing;
	int64_t due_ms, due_mono_ms; /* of the next attempt, by both clocks */
	int64_t installed_mono_ms, backoff_ms, opened_mono_ms;
	unsigned failures;
	struct cox_agent_file_stamp stamps[3];
	void (*closed)(void *ctx);
	void *closed_ctx;
};

static void attempt(struct cox_agent_identity *i);

/* --- when --------------------------------------------------------------------------------- */

int64_t cox_agent_renewal_ms(int64_t obtained_ms, int64_t not_after_ms, double ratio, double jitter, double dice)
{
	double share = ratio + jitter * dice;
	int64_t life = not_after_ms > obtained_ms ? not_after_ms - obtained_ms : 0;
	share = share < 0 ? 0 : share > 1 ? 1 : share;
	return not_after_ms - (int64_t)((double)life * share);
}

static void wait_for(struct cox_agent_identity *i, int64_t delay_ms)
{
	i->state = WAITING;
	i->due_ms = cox_clock_wall_ms() + delay_ms;
	i->due_mono_ms = cox_clock_mono_ms() + delay_ms;
	cox_timer_start(i->timer, delay_ms < TICK_MS ? delay_ms : TICK_MS, 0);
}

/* Due by either clock: a wall clock that jumps ahead makes a certificate old, one that jumps back must not keep it for ever. */
static void on_timer(void *ctx)
{
	struct cox_agent_identity *i = ctx;
	int64_t left = i->due_ms - cox_clock_wall_ms(), left_mono = i->due_mono_ms - cox_clock_mono_ms();
	left = left < left_mono ? left : left_mono;
	if (i->state != WAITING)
		return;
	if (left > 0)
		cox_timer_start(i->timer, left < TICK_MS ? left : TICK_MS, 0);
	else
		attempt(i);
}

static void wait_for_renewal(struct cox_agent_identity *i)
{
	const struct cox_agent_identity_config *c = i->spec.config;
	double dice = ((double)cox_random_below(DICE_SIDES) - (DICE_SIDES - 1) / 2.0) / ((DICE_SIDES - 1) / 2.0);
	int64_t at = cox_agent_renewal_ms(i->cert->obtained_ms, i->cert->not_after_s * 1000, c->grace_ratio, c->grace_jitter, dice);
	int64_t delay = at - cox_clock_wall_ms();
	wait_for(i, delay > RENEW_MIN_MS ? delay : RENEW_MIN_MS);
}

static void fail(struct cox_agent_identity *i, const struct cox_err *err)
{
	int64_t delay = cox_jitter_ms(i->backoff_ms, BACKOFF_JITTER_PERCENT);
	int64_t left_s = i->cert ? i->cert->not_after_s - cox_clock_wall_ms() / 1000 : 0;
	i->failures++;
	i->backoff_ms = i->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : i->backoff_ms * 2;
	cox_log(i->cert && left_s > 0 ? COX_LOG_WARN : COX_LOG_ERROR, "identity",
	        "no %scertificate yet, trying again in_ms=%lld attempts=%u valid_for_s=%lld error=\"%s\"", i->cert ? "new " : "",
	        (long long)delay, i->failures, (long long)left_s, err->text);
	wait_for(i, delay);
}

/* --- a job on a worker -------------------------------------------------------------------- */

static void job_free(struct cox_agent_identity *i)
{
	if (i->job)
		cox_agent_identity_job_fini(i->job);
	cox_free(i->job);
	i->job = NULL;
}

static void finish_close(struct cox_agent_identity *i)
{
	job_free(i);
	cox_agent_cert_free(&i->cert);
	if (i->closed)
		i->closed(i->closed_ctx);
	cox_free(i);
}

static void run_prepare(void *arg) { cox_agent_identity_job_prepare(((struct cox_agent_identity *)arg)->job); }
static void run_check(void *arg) { cox_agent_identity_job_check(((struct cox_agent_identity *)arg)->job); }
static void run_read(void *arg) { cox_agent_identity_job_read(((struct cox_agent_identity *)arg)->job); }

static void submit(struct cox_agent_identity *i, void (*run)(void *arg), void (*done)(void *arg, enum cox_rc rc))
{
	struct cox_err err = { 0 };
	if (cox_work_submit(i->spec.pool, i->spec.loop, run, done, i) == COX_OK) {
		i->is_worker_busy = true;
		return;
	}
	job_free(i);
	cox_err_set(&err, COX_ELIMIT, NULL, "too much work waits");
	fail(i, &err);
}

/* True: the job is over, one way or the other. */
static bool is_over(struct cox_agent_identity *i, enum cox_rc rc)
{
	i->is_worker_busy = false;
	if (i->is_closing) {
		finish_close(i);
		return true;
	}
	if (rc == COX_OK && i->job->rc == COX_OK)
		return false;
	if (rc == COX_OK) {
		fail(i, &i->job->err);
	}
	job_free(i);
	return true;
}

/* --- steps -------------------------------------------------------------------------------- */

static void install(struct cox_agent_identity *i)
{
	struct cox_agent_cert *old = i->cert;
	i->cert = COX_MOVE(i->job->cert);
	job_free(i);
	i->failures = 0;
	i->backoff_ms = BACKOFF_FIRST_MS;
	i->installed_mono_ms = cox_clock_mono_ms();
	cox_log(COX_LOG_INFO, "identity", "certificate in force id=%s serial=%s valid_for_s=%lld%s%lld",
	        i->cert->uri[0] ? i->cert->uri : "none", i->cert->serial, (long long)(i->cert->not_after_s - i->cert->obtained_ms / 1000),
	        old ? " renewed_after_ms=" : " after_ms=",
	        (long long)(old ? i->cert->obtained_ms - old->obtained_ms : i->installed_mono_ms - i->opened_mono_ms));
	if (i->spec.config->mode == COX_AGENT_IDENTITY_CSR)
		wait_for_renewal(i);
	else
		wait_for(i, FILES_POLL_MS);
	i->spec.on_cert(i->spec.ctx, i->cert);
	cox_agent_cert_free(&old);
}

static void on_checked(void *arg, enum cox_rc rc)
{
	struct cox_agent_identity *i = arg;
	if (!is_over(i, rc))
		install(i);
}

static void on_answer(void *ctx, enum cox_rc rc, struct cox_str response, const struct cox_err *err)
{
	struct cox_agent_identity *i = ctx;
	if (rc == COX_OK)
		cox_buf_append_str(&i->job->response, response);
	cox_agent_ca_call_close(&i->call);
	if (rc != COX_OK) {
		job_free(i);
		fail(i, err);
		return;
	}
	i->state = CHECKING;
	submit(i, run_check, on_checked);
}

static void on_prepared(void *arg, enum cox_rc rc)
{
	struct cox_agent_identity *i = arg;
	struct cox_err err = { 0 };
	if (is_over(i, rc))
		return;
	struct cox_agent_ca_call_spec spec = {
		.loop = i->spec.loop,
		.to = &i->spec.config->ca,
		.credentials = &i->job->credentials,
		.csr_pem = cox_buf_str(&i->job->csr_pem),
		.cert_signer = i->spec.config->cert_signer,
		.ttl_s = i->spec.config->ttl_s,
		.done = on_answer,
		.ctx = i,
	};
	i->state = ASKING;
	if (cox_agent_ca_call_open(&spec, &i->call, &err) != COX_OK) {
		job_free(i);
		fail(i, &err);
		return;
	}
	cox_agent_credentials_fini(&i->job->credentials); /* the connection has what it needs */
}

static void attempt_csr(struct cox_agent_identity *i)
{
	const struct cox_agent_cert *mine = cox_agent_identity_valid_cert(i);
	i->job = COX_NEW(struct cox_agent_identity_job);
	i->job->config = i->spec.config;
	if (mine) {
		cox_buf_reserve(&i->job->key_pem, mine->key_pem.n);
		cox_buf_append_str(&i->job->key_pem, cox_buf_str(&mine->key_pem));
		cox_buf_append_str(&i->job->chain_pem, cox_buf_str(&mine->chain_pem));
	}
	i->spec.roots(i->spec.ctx, &i->job->roots_pem);
	i->state = PREPARING;
	submit(i, run_prepare, on_prepared);
}

/* Looked at every second rather than watched: kubelets swap links, others rename, and a missed event would cost the identity. */
static void attempt_files(struct cox_agent_identity *i)
{
	const char *const paths[] = { i->spec.config->chain_file, i->spec.config->key_file, i->spec.config->root_file };
	bool is_same = i->cert != NULL;
	for (size_t k = 0; k < COX_LEN(paths); k++) {
		struct cox_agent_file_stamp now = cox_agent_file_stamp(paths[k]);
		is_same &= cox_agent_file_stamp_eq(&now, &i->stamps[k]);
		i->stamps[k] = now;
	}
	if (is_same) {
		wait_for(i, FILES_POLL_MS);
		return;
	}
	i->job = COX_NEW(struct cox_agent_identity_job);
	i->job->config = i->spec.config;
	i->state = CHECKING;
	submit(i, run_read, on_checked);
}

static void attempt(struct cox_agent_identity *i)
{
	if (i->spec.config->mode == COX_AGENT_IDENTITY_CSR)
		attempt_csr(i);
	else
		attempt_files(i);
}

/* --- the surface -------------------------------------------------------------------------- */

const struct cox_agent_cert *cox_agent_identity_cert(const struct cox_agent_identity *i) { return i ? i->cert : NULL; }

const struct cox_agent_cert *cox_agent_identity_valid_cert(const struct cox_agent_identity *i)
{
	return i && i->cert && i->cert->not_after_s > cox_clock_wall_ms() / 1000 ? i->cert : NULL;
}

void cox_agent_identity_renew(struct cox_agent_identity *i, int64_t within_ms)
{
	if (i->spec.config->mode != COX_AGENT_IDENTITY_CSR || i->state != WAITING || i->is_closing)
		return;
	int64_t delay = within_ms > 0 ? (int64_t)cox_random_below((uint32_t)within_ms) : 0;
	int64_t earliest = i->installed_mono_ms + RENEW_MIN_MS - cox_clock_mono_ms();
	delay = i->cert && delay < earliest ? earliest : delay;
	if (delay < i->due_mono_ms - cox_clock_mono_ms())
		wait_for(i, delay);
}

void cox_agent_identity_open(const struct cox_agent_identity_spec *spec, struct cox_agent_identity **out)
{
	COX_ASSERT(spec->config->mode == COX_AGENT_IDENTITY_CSR || spec->config->mode == COX_AGENT_IDENTITY_FILES);
	struct cox_agent_identity *i = COX_NEW(struct cox_agent_identity);
	i->spec = *spec;
	i->backoff_ms = BACKOFF_FIRST_MS;
	i->opened_mono_ms = cox_clock_mono_ms();
	i->timer = cox_timer_new(spec->loop, on_timer, i);
	*out = i;
	attempt(i);
}

void cox_agent_identity_close(struct cox_agent_identity **ip, void (*closed)(void *ctx), void *ctx)
{
	struct cox_agent_identity *i = COX_MOVE(*ip);
	if (!i) {
		if (closed)
			closed(ctx);
		return;
	}
	i->is_closing = true;
	i->closed = closed;
	i->closed_ctx = ctx;
	cox_timer_free(&i->timer);
	cox_agent_ca_call_close(&i->call);
	if (!i->is_worker_busy)
		finish_close(i);
}
