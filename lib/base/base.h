/*
 * base - the language the other modules are written in: result codes, scope
 * cleanup, assertions, and memory that never returns NULL.
 * Thread: every function of this module may be called from any thread unless its header says otherwise.
 */
#ifndef COX_BASE_BASE_H
#define COX_BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COX_MUST_USE __attribute__((warn_unused_result))
#define COX_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define COX_UNUSED __attribute__((unused))
#define COX_LEN(array) (sizeof(array) / sizeof((array)[0]))

enum cox_rc {
	COX_OK = 0,
#define X(name, http, grpc, retry, text) COX_##name,
#include "rc.def"
#undef X
};

/* The category's name as in "ENOTFOUND", its text, and what a peer is told. */
const char *cox_rc_name(enum cox_rc rc);
const char *cox_rc_text(enum cox_rc rc);
int cox_rc_http(enum cox_rc rc);
int cox_rc_grpc(enum cox_rc rc);
bool cox_rc_is_retryable(enum cox_rc rc);

/* Returns the failing code from the calling function; the only flow macro. */
#define COX_TRY(call)                             \
	do {                                      \
		enum cox_rc cox_try_rc_ = (call); \
		if (cox_try_rc_ != COX_OK)        \
			return cox_try_rc_;       \
	} while (0)

/* Runs `fn(&variable)` when the variable's scope ends. */
#define COX_AUTO(fn) __attribute__((cleanup(fn)))
/* Hands a pointer over and clears the variable, so that a COX_AUTO on it does nothing. */
#define COX_MOVE(p)                             \
	__extension__({                         \
		__typeof__(p) cox_moved_ = (p); \
		(p) = NULL;                     \
		cox_moved_;                     \
	})

/* States what cannot happen; stays on in releases. Never used on what a peer sent. */
#define COX_ASSERT(cond)                                            \
	do {                                                        \
		if (__builtin_expect(!(cond), 0))                   \
			cox_assert_fail(#cond, __FILE__, __LINE__); \
	} while (0)
__attribute__((noreturn)) void cox_assert_fail(const char *cond, const char *file, int line);
/* What an assertion prints beside its text: set by each thread for itself. `text` is copied. */
void cox_assert_context(const char *text);

/* Heap memory. These abort when memory is exhausted; sizes from outside are checked
 * against a named limit first. cox_free() accepts NULL. */
void *cox_alloc(size_t bytes);                /* not initialised */
void *cox_zalloc(size_t bytes);               /* zeroed */
void *cox_calloc(size_t count, size_t bytes); /* zeroed; aborts on overflow */
void *cox_realloc(void *p, size_t bytes);
void cox_free(void *p);
/* For COX_AUTO: frees what the pointer variable at `pp` points to. */
void cox_freep(void *pp);

#define COX_NEW(type) ((type *)cox_zalloc(sizeof(type)))

/* An environment variable, or NULL. Read at start-up, before there are threads: nothing sets the environment later. */
const char *cox_env_get(const char *name);
/* All of it, "NAME=value" each, up to NULL. */
char *const *cox_env_all(void);

static inline size_t cox_max_size(size_t a, size_t b) { return a > b ? a : b; }
static inline size_t cox_min_size(size_t a, size_t b) { return a < b ? a : b; }

#endif
