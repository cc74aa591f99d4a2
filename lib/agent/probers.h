/*
 * probers - what the injector put into ISTIO_KUBE_APP_PROBERS: the application's own probes by the path that the kubelet asks instead.
 * Pure; fuzzed. Also ISTIO_PROMETHEUS_ANNOTATIONS: where the application has its metrics.
 */
#ifndef COX_AGENT_PROBERS_H
#define COX_AGENT_PROBERS_H

#include "base/arena.h"
#include "base/err.h"
#include "codec/json.h"

enum { COX_AGENT_PROBERS_MAX = 1000, COX_AGENT_PROBER_TEXT_MAX = 1024 * 1024 };
enum cox_agent_prober_kind { COX_AGENT_PROBE_HTTP, COX_AGENT_PROBE_TCP, COX_AGENT_PROBE_GRPC };

/* Text lives in the arena of the list. */
struct cox_agent_prober {
	struct cox_str path; /* "/app-health/web/livez" */
	enum cox_agent_prober_kind kind;
	uint16_t port;
	bool is_https, is_lifecycle;
	struct cox_str host;    /* HTTP: the Host header; TCP: the address to connect to where one was written; else empty */
	struct cox_str target;  /* HTTP: path and query */
	struct cox_str headers; /* HTTP: lines that end in CRLF, without Host */
	struct cox_str service; /* gRPC; may be empty */
	int64_t timeout_ms;     /* 1 s unless said otherwise; lifecycle: 10 min, the kubelet limits it */
};
struct cox_agent_probers {
	struct cox_agent_prober *p;
	size_t n;
	struct cox_arena arena;
};

/* COX_EINVAL names the path and the member; an empty text is an empty list. */
COX_MUST_USE enum cox_rc cox_agent_probers_read(struct cox_str json, struct cox_agent_probers *out, struct cox_err *err);
/* One probe, as Kubernetes writes it: httpGet, tcpSocket or grpc; `out` comes zeroed. COX_EINVAL with the member. */
COX_MUST_USE enum cox_rc cox_agent_prober_read(const struct cox_json *o, struct cox_arena *arena, struct cox_agent_prober *out,
                                               struct cox_err *err);
void cox_agent_probers_fini(struct cox_agent_probers *p);
const struct cox_agent_prober *cox_agent_probers_find(const struct cox_agent_probers *p, struct cox_str path);

struct cox_agent_app_metrics {
	bool is_on;
	uint16_t port;   /* 80 unless said otherwise */
	char path[1024]; /* "/metrics" */
};
/* COX_EINVAL: broken JSON, a port that is none, or one of the proxy's own. */
COX_MUST_USE enum cox_rc cox_agent_app_metrics_read(struct cox_str json, struct cox_agent_app_metrics *out, struct cox_err *err);

#endif
