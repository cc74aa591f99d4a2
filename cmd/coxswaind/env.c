#include "env.h"

#include "base/log.h"
#include "codec/fields.h"

#include <stdio.h>
#include <string.h>

enum type { TEXT, LIST, BOOL, NUMBER, DURATION };

static const struct env {
	const char *name, *row;
	enum type type;
	const char *otherwise, *why_not, *meaning;
} table[ENV_COUNT] = {
#define X(name, row, type, otherwise, why_not, meaning) [ENV_##name] = { #name, row, type, otherwise, why_not, meaning },
#include "env.def"
#undef X
};

/* --- reading ------------------------------------------------------------------------------------------------------ */

/* Go's spelling of booleans. */
static bool read_bool(struct cox_str v, bool *out)
{
	static const char *const yes[] = { "1", "t", "T", "true", "TRUE", "True" };
	static const char *const no[] = { "0", "f", "F", "false", "FALSE", "False" };
	for (size_t i = 0; i < COX_LEN(yes); i++)
		if (cox_str_eq_cstr(v, yes[i]) || cox_str_eq_cstr(v, no[i])) {
			*out = cox_str_eq_cstr(v, yes[i]);
			return true;
		}
	return false;
}

static bool is_readable(const struct env *e, struct cox_str v)
{
	bool yes;
	double number;
	int64_t ns;
	switch (e->type) {
	case BOOL: return read_bool(v, &yes);
	case NUMBER: return cox_str_to_f64(v, &number) == COX_OK;
	case DURATION: return cox_duration_parse(v, &ns) == COX_OK && ns >= 0;
	case TEXT:
	case LIST: return true;
	}
	return true;
}

const char *env_name(enum env_id id) { return table[id].name; }

const char *env_given(enum env_id id)
{
	const char *v = cox_env_get(table[id].name);
	return v && v[0] ? v : NULL;
}

bool env_is_set(enum env_id id) { return env_given(id) != NULL; }

bool env_is_emptied(enum env_id id)
{
	const char *v = cox_env_get(table[id].name);
	return v && !v[0];
}

const char *env_cstr(enum env_id id)
{
	const char *v = cox_env_get(table[id].name);
	return v && v[0] && is_readable(&table[id], cox_str_of(v)) ? v : table[id].otherwise;
}

struct cox_str env_text(enum env_id id) { return cox_str_of(env_cstr(id)); }

bool env_bool(enum env_id id)
{
	bool out = false;
	read_bool(env_text(id), &out);
	return out;
}

double env_number(enum env_id id)
{
	double out;
	return cox_str_to_f64(env_text(id), &out) == COX_OK ? out : 0;
}

int64_t env_duration_ms(enum env_id id)
{
	int64_t ns;
	return cox_duration_parse(env_text(id), &ns) == COX_OK ? ns / 1000000 : 0;
}

void env_features(struct cox_features *out)
{
	*out = (struct cox_features){ .http10 = env_bool(ENV_PILOT_HTTP10),
		                      .sends_unhealthy = env_bool(ENV_PILOT_SEND_UNHEALTHY_ENDPOINTS),
		                      .gateways_are_scoped = env_bool(ENV_PILOT_SCOPE_GATEWAY_TO_NAMESPACE),
		                      .no_alpn_filter = !env_bool(ENV_PILOT_ENABLE_ALPN_FILTER),
		                      .no_metadata_exchange = !env_bool(ENV_PILOT_ENABLE_METADATA_EXCHANGE),
		                      .no_peer_alpn = env_bool(ENV_PILOT_DISABLE_MX_ALPN),
		                      .no_telemetry_labels = !env_bool(ENV_PILOT_ENABLE_TELEMETRY_LABEL),
		                      .no_endpoint_labels = !env_bool(ENV_PILOT_ENDPOINT_TELEMETRY_LABEL),
		                      .has_sessions = env_bool(ENV_PILOT_ENABLE_PERSISTENT_SESSION_FILTER),
		                      .has_mcs_hosts = env_bool(ENV_ENABLE_MCS_HOST),
		                      .has_sampling = env_is_set(ENV_PILOT_TRACE_SAMPLING) };
	double percent = env_number(ENV_PILOT_TRACE_SAMPLING);
	/* As istiod: what is no percentage is the default. */
	out->sampling_percent = percent >= 0 && percent <= 100 ? percent : 1;
}

/* --- saying ------------------------------------------------------------------------------------------------------- */

/* "true" and "1" say the same. */
static bool is_default(const struct env *e, struct cox_str v)
{
	struct cox_str otherwise = cox_str_of(e->otherwise);
	bool a, b;
	double x, y;
	int64_t i, j;
	if (e->type == BOOL && read_bool(v, &a) && read_bool(otherwise, &b))
		return a == b;
	if (e->type == NUMBER && cox_str_to_f64(v, &x) == COX_OK && cox_str_to_f64(otherwise, &y) == COX_OK)
		return x <= y && x >= y;
	if (e->type == DURATION && cox_duration_parse(v, &i) == COX_OK && cox_duration_parse(otherwise, &j) == COX_OK)
		return i == j;
	return cox_str_eq(v, otherwise);
}

static bool is_known(struct cox_str name)
{
	for (size_t i = 0; i < COX_LEN(table); i++)
		if (cox_str_eq_cstr(name, table[i].name))
			return true;
	return false;
}

/* Only names that can be nobody else's; Kubernetes adds variables for services (ISTIOD_SERVICE_HOST). */
static void report_unknown(void)
{
	static const char *const prefixes[] = { "PILOT_", "CITADEL_", "COXSWAIN_", "AMBIENT_" };
	for (char *const *v = cox_env_all(); *v; v++) {
		struct cox_str line = cox_str_of(*v), name = { 0 };
		cox_str_next(&line, '=', &name);
		bool is_ours = false;
		for (size_t i = 0; i < COX_LEN(prefixes); i++)
			is_ours |= cox_str_has_prefix(name, cox_str_of(prefixes[i]));
		bool is_of_service = cox_str_search(name, COX_STR("_SERVICE_")) >= 0 || cox_str_search(name, COX_STR("_PORT")) >= 0;
		if (is_ours && !is_of_service && !is_known(name))
			cox_log(COX_LOG_WARN, "env", "variable has no effect: it is not known name=%.*s", COX_FMT(name));
	}
}

void env_report(void)
{
	for (size_t i = 0; i < COX_LEN(table); i++) {
		const struct env *e = &table[i];
		struct cox_str v = cox_str_of(cox_env_get(e->name));
		if (v.n == 0)
			continue;
		if (!is_readable(e, v))
			cox_log(COX_LOG_WARN, "env", "variable cannot be read, its default counts name=%s value=\"%.*s\" default=\"%s\"",
			        e->name, COX_FMT(v), e->otherwise);
		else if (e->why_not && !is_default(e, v))
			cox_log(COX_LOG_WARN, "env", "variable has no effect name=%s value=\"%.*s\" because=\"%s\"", e->name, COX_FMT(v),
			        e->why_not);
	}
	report_unknown();
}

void env_print(void)
{
	static const char *const types[] = { "text", "list", "bool", "number", "duration" };
	puts("Environment variables of coxswaind (istiod's, unless they begin with COXSWAIN_).\n");
	for (size_t i = 0; i < COX_LEN(table); i++) {
		const struct env *e = &table[i];
		printf("%s (%s, default \"%s\")\n    %s\n", e->name, types[e->type], e->otherwise, e->meaning);
		if (e->why_not)
			printf("    has no effect: %s\n", e->why_not);
	}
}
