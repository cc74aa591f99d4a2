#include "base/metric.h"

#include "base/map.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>

enum { SERIES_MAX = 1000 };
enum kind { COUNTER, GAUGE, HISTOGRAM, HISTOGRAM_BYTES };

enum { BUCKETS_MAX = 17 };
/* Seconds, and bytes: Istio's boundaries are among them, so that its dashboards and alerts find theirs. */
static const double seconds[] = { .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 3, 5, 10, 20, 30 };
static const double bytes[] = { 1, 100, 1000, 10000, 100000, 1000000, 4000000, 10000000, 40000000 };
static const struct bounds {
	const double *p;
	size_t n;
} by_seconds = { seconds, COX_LEN(seconds) }, by_bytes = { bytes, COX_LEN(bytes) };

struct cox_series {
	struct cox_series *next; /* newest first; written once */
	_Atomic double value;    /* histograms: the sum */
	_Atomic uint64_t count;
	_Atomic uint64_t buckets[BUCKETS_MAX];
	const struct bounds *bounds;
	struct cox_str label;
};

static const struct {
	enum kind kind;
	const char *name, *label, *help;
} rows[] = {
#define X(id, kind, name, label, help) { kind, name, label, help },
#include "metric.def"
#undef X
};

static struct {
	pthread_mutex_t lock;
	struct {
		_Atomic(struct cox_series *) first;
		struct cox_map by_label;
	} metrics[COX_METRIC_COUNT];
} state = { .lock = PTHREAD_MUTEX_INITIALIZER };

struct cox_series *cox_metric_series(enum cox_metric m, struct cox_str label)
{
	if (!label.p)
		label = COX_STR("");
	pthread_mutex_lock(&state.lock);
	struct cox_map *map = &state.metrics[m].by_label;
	if (map->n >= SERIES_MAX && !cox_map_find(map, label))
		label = COX_STR("other");
	struct cox_series *s = cox_map_find(map, label);
	if (!s) {
		s = COX_NEW(struct cox_series);
		s->bounds = rows[m].kind == HISTOGRAM_BYTES ? &by_bytes : &by_seconds;
		s->label = cox_str_of(cox_str_dup_cstr(label));
		s->next = state.metrics[m].first;
		state.metrics[m].first = s;
		cox_map_set(map, s->label, s);
	}
	pthread_mutex_unlock(&state.lock);
	return s;
}

void cox_series_add(struct cox_series *s, double v)
{
	double was = atomic_load_explicit(&s->value, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(&s->value, &was, was + v, memory_order_relaxed, memory_order_relaxed))
		;
}

void cox_series_set(struct cox_series *s, double v) { atomic_store_explicit(&s->value, v, memory_order_relaxed); }

void cox_series_observe(struct cox_series *s, double v)
{
	for (size_t i = 0; i < s->bounds->n; i++)
		if (v <= s->bounds->p[i]) {
			atomic_fetch_add_explicit(&s->buckets[i], 1, memory_order_relaxed);
			break;
		}
	atomic_fetch_add_explicit(&s->count, 1, memory_order_relaxed);
	cox_series_add(s, v);
}

double cox_series_get(const struct cox_series *s)
{
	uint64_t n = atomic_load_explicit(&s->count, memory_order_relaxed);
	return n ? (double)n : atomic_load_explicit(&s->value, memory_order_relaxed);
}

struct cox_str cox_metric_join(struct cox_buf *b, const struct cox_str *values, size_t n)
{
	cox_buf_clear(b);
	for (size_t i = 0; i < n; i++) {
		if (i)
			cox_buf_append_char(b, COX_METRIC_SEP);
		cox_buf_append_str(b, values[i]);
	}
	return cox_buf_str(b);
}

void cox_metric_add_labels(enum cox_metric m, const struct cox_str *values, size_t n, double v)
{
	struct cox_buf b = { 0 };
	cox_series_add(cox_metric_series(m, cox_metric_join(&b, values, n)), v);
	cox_buf_fini(&b);
}

void cox_metric_add(enum cox_metric m, const char *label, double v) { cox_series_add(cox_metric_series(m, cox_str_of(label)), v); }
void cox_metric_set(enum cox_metric m, const char *label, double v) { cox_series_set(cox_metric_series(m, cox_str_of(label)), v); }
void cox_metric_observe(enum cox_metric m, const char *label, double v) { cox_series_observe(cox_metric_series(m, cox_str_of(label)), v); }

void cox_metric_max(enum cox_metric m, double v)
{
	struct cox_series *s = cox_metric_series(m, COX_STR(""));
	double was = atomic_load_explicit(&s->value, memory_order_relaxed);
	while (was < v && !atomic_compare_exchange_weak_explicit(&s->value, &was, v, memory_order_relaxed, memory_order_relaxed))
		;
}

static void render_number(struct cox_buf *out, double v)
{
	if (v == floor(v) && fabs(v) < 1e15)
		cox_buf_printf(out, "%.0f\n", v);
	else
		cox_buf_printf(out, "%.9g\n", v);
}

static void render_pair(struct cox_buf *out, struct cox_str name, struct cox_str value)
{
	cox_buf_printf(out, "%.*s=\"", COX_FMT(name));
	for (size_t i = 0; i < value.n; i++) {
		char c = value.p[i];
		if (c == '"' || c == '\\')
			cox_buf_append_char(out, '\\');
		cox_buf_append_char(out, c == '\n' ? ' ' : c);
	}
	cox_buf_append_char(out, '"');
}

static void render_label(struct cox_buf *out, const char *label, struct cox_str value, const char *le)
{
	if (!label && !le)
		return;
	cox_buf_append_char(out, '{');
	struct cox_str names = cox_str_of(label), name, part;
	while (names.n && cox_str_next(&names, ',', &name)) {
		if (!cox_str_next(&value, COX_METRIC_SEP, &part))
			part = COX_STR("");
		render_pair(out, name, part);
		cox_buf_append_cstr(out, names.n || le ? "," : "");
	}
	if (le)
		cox_buf_printf(out, "le=\"%s\"", le);
	cox_buf_append_char(out, '}');
}

static void render_line(struct cox_buf *out, const char *name, const char *suffix, const char *label, struct cox_str value, const char *le,
                        double v)
{
	cox_buf_printf(out, "%s%s", name, suffix);
	render_label(out, label, value, le);
	cox_buf_append_char(out, ' ');
	render_number(out, v);
}

static void render_histogram(struct cox_buf *out, size_t m, const struct cox_series *s)
{
	uint64_t below = 0;
	char le[32];
	for (size_t i = 0; i < s->bounds->n; i++) {
		below += atomic_load_explicit(&s->buckets[i], memory_order_relaxed);
		struct cox_buf b = { 0 };
		cox_buf_printf(&b, "%g", s->bounds->p[i]);
		cox_str_to_cstr(cox_buf_str(&b), le, sizeof(le));
		cox_buf_fini(&b);
		render_line(out, rows[m].name, "_bucket", rows[m].label, s->label, le, (double)below);
	}
	double count = (double)atomic_load_explicit(&s->count, memory_order_relaxed);
	render_line(out, rows[m].name, "_bucket", rows[m].label, s->label, "+Inf", count);
	render_line(out, rows[m].name, "_sum", rows[m].label, s->label, NULL, atomic_load_explicit(&s->value, memory_order_relaxed));
	render_line(out, rows[m].name, "_count", rows[m].label, s->label, NULL, count);
}

void cox_metric_render(struct cox_buf *out)
{
	static const char *const kinds[] = { "counter", "gauge", "histogram", "histogram" };
	for (size_t m = 0; m < COX_METRIC_COUNT; m++) {
		const struct cox_series *s = state.metrics[m].first;
		cox_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", rows[m].name, rows[m].help, rows[m].name, kinds[rows[m].kind]);
		if (!s && !rows[m].label) /* what has not happened yet is 0, not absent */
			s = cox_metric_series((enum cox_metric)m, (struct cox_str){ 0 });
		for (; s; s = s->next) {
			if (rows[m].kind == HISTOGRAM || rows[m].kind == HISTOGRAM_BYTES)
				render_histogram(out, m, s);
			else
				render_line(out, rows[m].name, "", rows[m].label, s->label, NULL,
				            atomic_load_explicit(&s->value, memory_order_relaxed));
		}
	}
}
