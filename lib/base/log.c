#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

enum { MODULES_MAX = 32, NAME_BYTES = 24, LINE_BYTES = 4096 };

static const char *const level_names[] = { "none", "error", "warn", "info", "debug" };
static struct {
	pthread_mutex_t lock;
	_Atomic int fallback;
	_Atomic int json;
	int module_count;
	struct {
		char name[NAME_BYTES];
		enum cox_log_level level;
	} modules[MODULES_MAX];
} state = { .lock = PTHREAD_MUTEX_INITIALIZER, .fallback = COX_LOG_INFO };

static const struct {
	const char *name, *description;
} scopes[] = {
#define X(name, description) { #name, description },
#include "log_scope.def"
#undef X
};

static enum cox_rc parse_level(struct cox_str s, enum cox_log_level *out)
{
	for (size_t i = 0; i < COX_LEN(level_names); i++)
		if (cox_str_eq_cstr(s, level_names[i])) {
			*out = (enum cox_log_level)i;
			return COX_OK;
		}
	return COX_EINVAL;
}

static enum cox_rc set_one(struct cox_str item)
{
	ptrdiff_t colon = cox_str_find(item, ':');
	struct cox_str name = colon < 0 ? COX_STR("default") : cox_str_sub(item, 0, (size_t)colon);
	enum cox_log_level level;
	COX_TRY(parse_level(cox_str_sub(item, (size_t)(colon + 1), item.n), &level));
	if (cox_str_eq_cstr(name, "default") || cox_str_eq_cstr(name, "all")) {
		state.fallback = level;
		return COX_OK;
	}
	char buf[NAME_BYTES];
	cox_str_to_cstr(name, buf, sizeof(buf));
	for (int i = 0; i < state.module_count; i++)
		if (!strcmp(state.modules[i].name, buf)) {
			state.modules[i].level = level;
			return COX_OK;
		}
	if (state.module_count == MODULES_MAX)
		return COX_ELIMIT;
	memcpy(state.modules[state.module_count].name, buf, sizeof(buf));
	state.modules[state.module_count++].level = level;
	return COX_OK;
}

enum cox_rc cox_log_set_levels(struct cox_str spec)
{
	struct cox_str item;
	enum cox_rc rc = COX_OK;
	pthread_mutex_lock(&state.lock);
	while (rc == COX_OK && cox_str_next(&spec, ',', &item))
		rc = set_one(cox_str_trim(item));
	pthread_mutex_unlock(&state.lock);
	return rc;
}

static enum cox_log_level level_of(const char *module)
{
	enum cox_log_level limit = (enum cox_log_level)state.fallback;
	pthread_mutex_lock(&state.lock);
	for (int i = 0; i < state.module_count; i++)
		if (!strcmp(state.modules[i].name, module))
			limit = state.modules[i].level;
	pthread_mutex_unlock(&state.lock);
	return limit;
}

const char *cox_log_level_name(enum cox_log_level level) { return level_names[level]; }

bool cox_log_scope_at(size_t i, struct cox_log_scope *out)
{
	if (i >= COX_LEN(scopes))
		return false;
	*out = (struct cox_log_scope){ scopes[i].name, scopes[i].description, level_of(scopes[i].name) };
	return true;
}

void cox_log_set_json(bool json) { state.json = json; }

bool cox_log_is_on(const char *module, enum cox_log_level level) { return level <= level_of(module); }

static size_t escape_json(char *out, size_t cap, const char *s)
{
	size_t n = 0;
	for (; *s && n + 8 < cap; s++) {
		unsigned char c = (unsigned char)*s;
		if (c == '"' || c == '\\') {
			out[n++] = '\\';
			out[n++] = (char)c;
		} else if (c < 0x20) {
			n += (size_t)snprintf(out + n, cap - n, "\\u%04x", c);
		} else {
			out[n++] = (char)c;
		}
	}
	out[n] = 0;
	return n;
}

void cox_log(enum cox_log_level level, const char *module, const char *fmt, ...)
{
	char message[LINE_BYTES / 2], line[LINE_BYTES], escaped[LINE_BYTES - 256], when[32];
	va_list ap;
	int n;
	if (!cox_log_is_on(module, level))
		return;
	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	cox_clock_format(cox_clock_wall_ms(), when);
	for (char *p = message; *p; p++)
		if (*p == '\n' || *p == '\r')
			*p = ' ';
	if (state.json) {
		escape_json(escaped, sizeof(escaped), message);
		n = snprintf(line, sizeof(line), "{\"time\":\"%s\",\"level\":\"%s\",\"scope\":\"%s\",\"msg\":\"%s\"}\n", when,
		             level_names[level], module, escaped);
	} else {
		n = snprintf(line, sizeof(line), "%s %-5s %s %s\n", when, level_names[level], module, message);
	}
	if (n > 0 && write(STDERR_FILENO, line, cox_min_size((size_t)n, sizeof(line) - 1)) < 0)
		return; /* nobody is left to tell */
}
