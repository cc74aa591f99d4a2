/* wait and request: questions to a proxy that runs beside us. */
#include "cmd.h"

#include "agent/fetch.h"
#include "loop/timer.h"

#include <getopt.h>
#include <stdio.h>

struct ask {
	struct cox_loop *loop;
	struct cox_agent_fetch *fetch;
	struct cox_timer *timer;
	struct cox_agent_fetch_spec spec;
	int64_t period_ms, until_ms;
	enum cox_rc rc;
	int status;
	bool prints;
	char text[120]; /* the beginning of the last answer */
};

static void on_body(void *ctx, struct cox_str part)
{
	struct ask *a = ctx;
	if (a->prints)
		fwrite(part.p, 1, part.n, stdout);
	else if (!a->text[0])
		cox_str_to_cstr(cox_str_trim(part), a->text, sizeof(a->text));
}

static void ask_now(void *ctx)
{
	struct ask *a = ctx;
	cox_agent_fetch_close(&a->fetch);
	a->text[0] = '\0';
	cox_agent_fetch_open(a->loop, &a->spec, &a->fetch);
}

static void on_done(void *ctx, enum cox_rc rc, int status)
{
	struct ask *a = ctx;
	a->rc = rc;
	a->status = status;
	bool is_good = rc == COX_OK && status >= 200 && status < 300;
	if (!is_good && a->period_ms && cox_loop_now_ms(a->loop) < a->until_ms)
		cox_timer_start(a->timer, a->period_ms, 0);
	else
		cox_loop_stop(a->loop);
}

static bool run(struct ask *a, int64_t timeout_ms)
{
	a->loop = cox_loop_new("ask");
	a->timer = cox_timer_new(a->loop, ask_now, a);
	a->until_ms = cox_loop_now_ms(a->loop) + timeout_ms;
	a->spec.on_body = on_body;
	a->spec.on_done = on_done;
	a->spec.ctx = a;
	cox_timer_start(a->timer, 0, 0);
	cox_loop_run(a->loop);
	cox_agent_fetch_close(&a->fetch);
	cox_timer_free(&a->timer);
	cox_loop_free(&a->loop);
	return a->rc == COX_OK && a->status >= 200 && a->status < 300;
}

/* "http://localhost:15021/healthz/ready": this host's loopback only. */
static bool read_url(const char *text, uint16_t *port, struct cox_str *target)
{
	struct cox_str url = cox_str_of(text), scheme = COX_STR("http://");
	uint64_t v = 80;
	if (!cox_str_has_prefix(url, scheme))
		return false;
	url = cox_str_sub(url, scheme.n, url.n);
	ptrdiff_t slash = cox_str_find(url, '/');
	struct cox_str host = cox_str_sub(url, 0, slash < 0 ? url.n : (size_t)slash);
	*target = slash < 0 ? COX_STR("/") : cox_str_sub(url, (size_t)slash, url.n);
	ptrdiff_t colon = cox_str_find(host, ':');
	if (colon >= 0 && (cox_str_to_u64(cox_str_sub(host, (size_t)colon + 1, host.n), &v) != COX_OK || v < 1 || v > 65535))
		return false;
	host = colon < 0 ? host : cox_str_sub(host, 0, (size_t)colon);
	*port = (uint16_t)v;
	return cox_str_eq(host, COX_STR("localhost")) || cox_str_eq(host, COX_STR("127.0.0.1"));
}

enum { OPT_TIMEOUT = 256, OPT_REQUEST_TIMEOUT, OPT_PERIOD, OPT_URL, OPT_DEBUG_PORT };

int cmd_wait(int argc, char **argv)
{
	static const struct option options[] = { { "timeoutSeconds", required_argument, NULL, OPT_TIMEOUT },
		                                 { "requestTimeoutMillis", required_argument, NULL, OPT_REQUEST_TIMEOUT },
		                                 { "periodMillis", required_argument, NULL, OPT_PERIOD },
		                                 { "url", required_argument, NULL, OPT_URL },
		                                 { NULL, 0, NULL, 0 } };
	const char *url = "http://localhost:15021/healthz/ready";
	uint64_t timeout_s = 60, request_ms = 500, period_ms = 500;
	struct ask a = { 0 };
	bool ok = true;
	for (int flag; ok && (flag = getopt_long(argc, argv, "", options, NULL)) != -1;)
		switch (flag) {
		case OPT_TIMEOUT: ok = cmd_number(optarg, 86400, &timeout_s); break;
		case OPT_REQUEST_TIMEOUT: ok = cmd_number(optarg, 3600000, &request_ms) && request_ms; break;
		case OPT_PERIOD: ok = cmd_number(optarg, 3600000, &period_ms) && period_ms; break;
		case OPT_URL: url = optarg; break;
		default: ok = false;
		}
	if (!ok || optind != argc || !read_url(url, &a.spec.port, &a.spec.target))
		return cmd_usage("wait: a flag or its value is wrong");
	a.spec.address = "127.0.0.1";
	a.spec.method = COX_STR("GET");
	a.spec.headers = COX_STR("Host: localhost\r\n");
	a.spec.timeout_ms = (int64_t)request_ms;
	a.period_ms = (int64_t)period_ms;
	if (run(&a, (int64_t)timeout_s * 1000))
		return 0;
	fprintf(stderr, "cox-agent: the proxy is not ready after %llu s: %s%s%s\n", (unsigned long long)timeout_s,
	        a.rc == COX_OK ? "" : cox_rc_name(a.rc), a.status ? "last answer: " : "", a.text);
	return 1;
}

int cmd_request(int argc, char **argv)
{
	static const struct option options[] = { { "debug-port", required_argument, NULL, OPT_DEBUG_PORT }, { NULL, 0, NULL, 0 } };
	struct ask a = { .prints = true, .spec = { .address = "127.0.0.1", .port = 15000, .timeout_ms = 60 * 1000 } };
	COX_AUTO(cox_buf_fini) struct cox_buf target = { 0 };
	bool ok = true;
	for (int flag; ok && (flag = getopt_long(argc, argv, "", options, NULL)) != -1;)
		ok = flag == OPT_DEBUG_PORT && cmd_port(optarg, &a.spec.port);
	if (!ok || optind + 2 != argc)
		return cmd_usage("request: METHOD and PATH are needed");
	a.spec.method = cox_str_of(argv[optind]);
	cox_buf_printf(&target, "%s%s", argv[optind + 1][0] == '/' ? "" : "/", argv[optind + 1]);
	a.spec.target = cox_buf_str(&target);
	for (size_t i = 0; i < target.n + a.spec.method.n; i++)
		if ((unsigned char)(i < target.n ? target.p[i] : a.spec.method.p[i - target.n]) <= ' ')
			return cmd_usage("request: a blank in METHOD or PATH");
	a.spec.headers = COX_STR("Host: localhost\r\nContent-Length: 0\r\n");
	if (run(&a, 0))
		return 0;
	if (a.rc == COX_OK)
		fprintf(stderr, "cox-agent: status %d\n", a.status);
	else
		fprintf(stderr, "cox-agent: port %u: %s\n", (unsigned)a.spec.port, cox_rc_name(a.rc));
	return 1;
}
