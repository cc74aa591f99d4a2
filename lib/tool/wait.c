#include "tool/wait.h"

#include "base/clock.h"
#include "status/status.h"

#include <strings.h>

enum { LOOK_MS = 300 };

static bool is_same_word(struct cox_str a, struct cox_str b) { return a.n == b.n && strncasecmp(a.p, b.p, a.n) == 0; }

const struct cox_kind_info *cox_wait_kind_find(struct cox_str word)
{
	for (size_t i = 0; i < COX_KIND_COUNT; i++) {
		const struct cox_kind_info *info = cox_kind_info((enum cox_kind)i);
		if (info->ours != 1)
			continue;
		struct cox_str plural = cox_str_sub(word, 0, info->plural.n), rest = cox_str_sub(word, info->plural.n, SIZE_MAX);
		bool is_full = rest.n > 1 && rest.p[0] == '.' && is_same_word(cox_str_sub(rest, 1, SIZE_MAX), info->group);
		if (is_same_word(word, info->name) || (is_same_word(plural, info->plural) && (rest.n == 0 || is_full)))
			return info;
	}
	return NULL;
}

static int64_t number_at(const struct cox_json *v, const char *path)
{
	const struct cox_json *n = cox_json_at(v, path);
	int64_t out = 0;
	return n && cox_json_to_i64(n, &out) == COX_OK ? out : 0;
}

/* Condition `type` of this generation or a later one; NULL: not yet. */
static const struct cox_json *condition(const struct cox_json *o, const char *type, int64_t generation)
{
	const struct cox_json *list = cox_json_at(o, "status.conditions");
	for (size_t i = 0; list && list->type == COX_JSON_ARRAY && i < list->n; i++)
		if (cox_str_eq_cstr(cox_json_str_at(&list->items[i], "type"), type) &&
		    number_at(&list->items[i], "observedGeneration") >= generation)
			return &list->items[i];
	return NULL;
}

/* Will it never come? */
static enum cox_rc check_refused(const struct cox_json *o, int64_t generation, struct cox_err *err)
{
	const struct cox_json *accepted = condition(o, "Accepted", generation), *rejected = condition(o, "ProxyRejected", generation);
	if (rejected && cox_str_eq_cstr(cox_json_str_at(rejected, "status"), "True"))
		return cox_err_set(err, COX_EDENIED, NULL, "generation %lld is rejected: %.*s", (long long)generation,
		                   COX_FMT(cox_json_str_at(rejected, "message")));
	if (accepted && cox_str_eq_cstr(cox_json_str_at(accepted, "status"), "False"))
		return cox_err_set(err, COX_EDENIED, NULL, "generation %lld cannot be in force: %.*s", (long long)generation,
		                   COX_FMT(cox_json_str_at(accepted, "message")));
	return COX_OK;
}

struct look {
	int64_t generation;
	bool is_enough, is_known;
	struct cox_status_progress progress;
};

static enum cox_rc look(const struct cox_json *object, const struct cox_wait_options *o, struct look *l, struct cox_err *err)
{
	if (!l->generation)
		l->generation = o->generation ? o->generation : number_at(object, "metadata.generation");
	if (number_at(object, "metadata.generation") < l->generation)
		return cox_err_set(err, COX_EINVAL, NULL, "--generation: %lld, but the object is at %lld", (long long)l->generation,
		                   (long long)number_at(object, "metadata.generation"));
	COX_TRY(check_refused(object, l->generation, err));
	l->is_known = cox_status_progress_read(object, &l->progress) && l->progress.generation >= l->generation;
	l->is_enough = l->is_known && (double)l->progress.acked >= o->threshold * (double)l->progress.total;
	return COX_OK;
}

static enum cox_rc timed_out(const struct cox_wait_options *o, const struct look *l, size_t acked, size_t total, struct cox_str last,
                             struct cox_err *err)
{
	double seconds = (double)o->timeout_ms / 1000;
	if (!l->is_known)
		return cox_err_set(err, COX_ETIMEOUT, NULL,
		                   "after %g s no control plane has said who has generation %lld: does one run, and may it write statuses?",
		                   seconds, (long long)l->generation);
	return cox_err_set(err, COX_ETIMEOUT, NULL, "after %g s %zu of %zu proxies have generation %lld%s%.*s", seconds, acked, total,
	                   (long long)l->generation, last.n ? "; not yet " : "", COX_FMT(last));
}

enum cox_rc cox_wait_distribution(struct cox_cluster *c, const struct cox_wait_options *o, struct cox_wait_result *out, struct cox_err *err)
{
	const struct cox_kind_info *info = cox_wait_kind_find(o->kind);
	int64_t until = cox_clock_mono_ms() + o->timeout_ms;
	struct look l = { 0 };
	size_t acked = SIZE_MAX, total = SIZE_MAX;
	if (!info)
		return cox_err_set(err, COX_EINVAL, NULL, "\"%.*s\" is no kind of the mesh's configuration", COX_FMT(o->kind));
	struct cox_str versions = info->versions, version = { 0 };
	cox_str_next(&versions, ',', &version);
	struct cox_cluster_kind kind = { .group = info->group, .version = version, .plural = info->plural, .kind = info->name };
	for (;;) {
		COX_AUTO(cox_arena_fini) struct cox_arena arena = { 0 };
		struct cox_json *object;
		COX_TRY(cox_cluster_get(c, &kind, o->ns, o->name, &arena, &object, err));
		enum cox_rc rc = look(object, o, &l, err);
		if (rc != COX_OK) {
			cox_err_wrap(err, "%.*s %.*s/%.*s", COX_FMT(info->name), COX_FMT(o->ns), COX_FMT(o->name));
			return rc;
		}
		if (l.is_known && o->progress && (l.progress.acked != acked || l.progress.total != total))
			o->progress(o->ctx, l.progress.acked, l.progress.total, l.progress.last);
		acked = l.progress.acked;
		total = l.progress.total;
		if (l.is_enough) {
			*out = (struct cox_wait_result){ l.generation, acked, total };
			return COX_OK;
		}
		if (cox_clock_mono_ms() >= until) {
			timed_out(o, &l, acked, total, l.progress.last, err);
			cox_err_wrap(err, "%.*s %.*s/%.*s", COX_FMT(info->name), COX_FMT(o->ns), COX_FMT(o->name));
			return COX_ETIMEOUT;
		}
		cox_cluster_sleep(c, LOOK_MS);
	}
}
