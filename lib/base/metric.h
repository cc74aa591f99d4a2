/*
 * metric - counters, gauges and histograms, exported as Prometheus text. The list is metric.def.
 * Any thread. A series is found once and then costs one atomic addition.
 */
#ifndef COX_BASE_METRIC_H
#define COX_BASE_METRIC_H

#include "base/buf.h"

enum cox_metric {
#define X(id, kind, name, label, help) COX_M_##id,
#include "metric.def"
#undef X
	COX_METRIC_COUNT
};

struct cox_series;

/* The series with this label value (copied; empty for metrics without a label). Never freed: keep it.
 * Beyond 1,000 label values of one metric all further ones share the value "other". */
struct cox_series *cox_metric_series(enum cox_metric m, struct cox_str label_value);
void cox_series_add(struct cox_series *s, double v);     /* counters, gauges */
void cox_series_set(struct cox_series *s, double v);     /* gauges */
void cox_series_observe(struct cox_series *s, double v); /* histograms, in the metric's unit */
double cox_series_get(const struct cox_series *s);       /* value, or a histogram's count */
/* A metric with several labels ("type,event") has their values in one text, in this order, with COX_METRIC_SEP between them. */
enum { COX_METRIC_SEP = 0x1f };
/* Makes that text in `b`. */
struct cox_str cox_metric_join(struct cox_buf *b, const struct cox_str *values, size_t n);
void cox_metric_add_labels(enum cox_metric m, const struct cox_str *values, size_t n, double v);
/* Short forms; `label` may be NULL. */
void cox_metric_add(enum cox_metric m, const char *label, double v);
void cox_metric_set(enum cox_metric m, const char *label, double v);
void cox_metric_observe(enum cox_metric m, const char *label, double v);
void cox_metric_max(enum cox_metric m, double v); /* a gauge without labels: the largest so far */
/* Appends all of them in Prometheus text format 0.0.4. */
void cox_metric_render(struct cox_buf *out);

#endif
