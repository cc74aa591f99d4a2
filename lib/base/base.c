#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name, *text;
	int http, grpc;
	bool retry;
} rc_rows[] = {
	{ "OK", "ok", 200, 0, false },
#define X(name, http, grpc, retry, text) { #name, text, http, grpc, retry },
#include "rc.def"
#undef X
};

static _Thread_local char assert_context[256];

static size_t rc_row(enum cox_rc rc)
{
	COX_ASSERT((size_t)rc < COX_LEN(rc_rows));
	return (size_t)rc;
}

const char *cox_rc_name(enum cox_rc rc) { return rc_rows[rc_row(rc)].name; }
const char *cox_rc_text(enum cox_rc rc) { return rc_rows[rc_row(rc)].text; }
int cox_rc_http(enum cox_rc rc) { return rc_rows[rc_row(rc)].http; }
int cox_rc_grpc(enum cox_rc rc) { return rc_rows[rc_row(rc)].grpc; }
bool cox_rc_is_retryable(enum cox_rc rc) { return rc_rows[rc_row(rc)].retry; }

void cox_assert_context(const char *text) { snprintf(assert_context, sizeof(assert_context), "%s", text ? text : ""); }

void cox_assert_fail(const char *cond, const char *file, int line)
{
	fprintf(stderr, "coxswain: assertion failed: %s (%s:%d)%s%s\n", cond, file, line, assert_context[0] ? " while " : "",
	        assert_context);
	abort();
}

static void *must(void *p, size_t bytes)
{
	if (!p && bytes) {
		fprintf(stderr, "coxswain: out of memory asking for %zu bytes\n", bytes);
		abort();
	}
	return p;
}

void *cox_alloc(size_t bytes) { return must(malloc(bytes ? bytes : 1), bytes); }
void *cox_zalloc(size_t bytes) { return must(calloc(1, bytes ? bytes : 1), bytes); }
void *cox_calloc(size_t count, size_t bytes) { return must(calloc(count ? count : 1, bytes ? bytes : 1), bytes); }
void *cox_realloc(void *p, size_t bytes) { return must(realloc(p, bytes ? bytes : 1), bytes); }
void cox_free(void *p) { free(p); }

void cox_freep(void *pp)
{
	void *p;
	memcpy(&p, pp, sizeof(p));
	free(p);
	memset(pp, 0, sizeof(p));
}

const char *cox_env_get(const char *name) { return getenv(name); }
extern char **environ;
char *const *cox_env_all(void) { return environ; }
