#include "agent/scrape.h"

#include "agent/fetch.h"
#include "loop/timer.h"

#include <stdio.h>

enum { TIMEOUT_MS = 10 * 1000, TIMEOUT_MAX_MS = 60 * 1000 };

static const char text_type[] = "text/plain; version=0.0.4; charset=utf-8";

struct cox_agent_scrape {
	struct cox_loop *loop;
	struct cox_agent_scrape_spec spec;
	struct cox_agent_fetch *envoy, *app, *active; /* active: whose body is being written */
	struct cox_timer *timer;
	struct cox_buf own, headers;
	int64_t timeout_ms;
	char content_type[160];
	bool envoy_failed, app_failed, app_is_whole, is_waiting /* for room */, has_begun, is_over, needs_newline;
};

static void start_envoy(struct cox_agent_scrape *s);

/* Told from a timer: whoever called us may still use the exchange or the fetch. */
static void finish(struct cox_agent_scrape *s, bool is_whole)
{
	if (s->is_over)
		return;
	s->is_over = true;
	cox_agent_exchange_end(s->spec.exchange, is_whole);
	cox_timer_start(s->timer, 0, 0);
}

static void on_timer(void *ctx)
{
	struct cox_agent_scrape *s = ctx;
	s->spec.on_done(s->spec.ctx, s, s->envoy_failed, s->app_failed);
}

static void on_room(void *ctx)
{
	struct cox_agent_scrape *s = ctx;
	s->is_waiting = false;
	if (s->is_over)
		return;
	/* When the scraper is gone the next write finds it. */
	if (s->active)
		cox_agent_fetch_resume(s->active);
	else if (cox_agent_exchange_write(s->spec.exchange, COX_STR("")) == COX_ECANCELED)
		finish(s, false);
}

static void put(struct cox_agent_scrape *s, struct cox_str text)
{
	enum cox_rc rc = s->is_over ? COX_OK : cox_agent_exchange_write(s->spec.exchange, text);
	if (text.n)
		s->needs_newline = text.p[text.n - 1] != '\n';
	if (rc == COX_ECANCELED)
		finish(s, false);
	s->is_waiting = rc == COX_EAGAIN;
	if (s->is_waiting && s->active)
		cox_agent_fetch_pause(s->active);
}

static void on_body(void *ctx, struct cox_str part)
{
	struct cox_agent_scrape *s = ctx;
	put(s, part);
	if (s->is_over && s->active)
		cox_agent_fetch_pause(s->active);
}

/* A part that broke off in the middle of a line must not spoil the next one's first. */
static void end_part(struct cox_agent_scrape *s)
{
	s->active = NULL;
	if (s->needs_newline)
		put(s, COX_STR("\n"));
}

/* --- the application: its head first, for the content type; its body last --------------------- */

static bool is_open_metrics(struct cox_str type)
{
	struct cox_str media = type;
	ptrdiff_t semi = cox_str_find(type, ';');
	if (semi >= 0)
		media = cox_str_trim(cox_str_sub(type, 0, (size_t)semi));
	return cox_str_eq_nocase(media, COX_STR("application/openmetrics-text"));
}

static void on_app_head(void *ctx, int status, struct cox_str head)
{
	struct cox_agent_scrape *s = ctx;
	struct cox_str type = cox_agent_http_header(head, COX_STR("content-type"));
	if (status != 200) {
		s->app_failed = true;
		cox_agent_fetch_close(&s->app);
	} else {
		if (is_open_metrics(type) && type.n < sizeof(s->content_type))
			cox_str_to_cstr(type, s->content_type, sizeof(s->content_type));
		cox_agent_fetch_pause(s->app);
	}
	start_envoy(s);
}

static void on_app_done(void *ctx, enum cox_rc rc, int status)
{
	struct cox_agent_scrape *s = ctx;
	(void)status;
	s->app_failed |= rc != COX_OK;
	if (!s->has_begun) {
		start_envoy(s); /* no head ever came */
	} else if (s->active == s->app) {
		end_part(s);
		finish(s, true);
	} else {
		cox_agent_fetch_close(&s->app); /* its time was over while Envoy's were written */
	}
}

static void start_app(struct cox_agent_scrape *s)
{
	struct cox_buf headers = { 0 };
	cox_buf_printf(&headers, "Host: localhost:%u\r\n", (unsigned)s->spec.app->port);
	cox_buf_append_str(&headers, cox_buf_str(&s->headers));
	cox_agent_fetch_open(s->loop,
	                     &(struct cox_agent_fetch_spec){ .address = "127.0.0.1",
	                                                     .port = s->spec.app->port,
	                                                     .method = COX_STR("GET"),
	                                                     .target = cox_str_of(s->spec.app->path),
	                                                     .headers = cox_buf_str(&headers),
	                                                     .timeout_ms = s->timeout_ms,
	                                                     .on_head = on_app_head,
	                                                     .on_body = on_body,
	                                                     .on_done = on_app_done,
	                                                     .ctx = s },
	                     &s->app);
	cox_buf_fini(&headers);
}

/* --- Envoy ----------------------------------------------------------------------------------- */

static void on_envoy_head(void *ctx, int status, struct cox_str head)
{
	struct cox_agent_scrape *s = ctx;
	(void)head;
	s->envoy_failed = status != 200; /* what it says then is no metrics */
}

static void on_envoy_body(void *ctx, struct cox_str part)
{
	struct cox_agent_scrape *s = ctx;
	if (!s->envoy_failed)
		on_body(ctx, part);
}

static void on_envoy_done(void *ctx, enum cox_rc rc, int status)
{
	struct cox_agent_scrape *s = ctx;
	(void)status;
	s->envoy_failed |= rc != COX_OK;
	end_part(s);
	if (s->app && !s->is_over) {
		s->active = s->app;
		if (!s->is_waiting)
			cox_agent_fetch_resume(s->app);
	} else {
		finish(s, true);
	}
}

static void start_envoy(struct cox_agent_scrape *s)
{
	s->has_begun = true;
	cox_agent_exchange_begin(s->spec.exchange, 200, s->content_type, on_room, s);
	put(s, cox_buf_str(&s->own));
	cox_agent_fetch_open(s->loop,
	                     &(struct cox_agent_fetch_spec){ .address = "127.0.0.1",
	                                                     .port = s->spec.admin_port,
	                                                     .method = COX_STR("GET"),
	                                                     .target = COX_STR("/stats/prometheus?usedonly"),
	                                                     .headers = COX_STR("Host: localhost\r\n"),
	                                                     .timeout_ms = s->timeout_ms,
	                                                     .on_head = on_envoy_head,
	                                                     .on_body = on_envoy_body,
	                                                     .on_done = on_envoy_done,
	                                                     .ctx = s },
	                     &s->envoy);
	s->active = s->envoy;
	if (s->is_waiting)
		cox_agent_fetch_pause(s->envoy);
}

/* --- life ------------------------------------------------------------------------------------ */

static void take_request(struct cox_agent_scrape *s, struct cox_str head)
{
	struct cox_str accept = cox_agent_http_header(head, COX_STR("accept")), agent = cox_agent_http_header(head, COX_STR("user-agent"));
	struct cox_str seconds = cox_agent_http_header(head, COX_STR("x-prometheus-scrape-timeout-seconds"));
	double v;
	cox_buf_printf(&s->headers, "Accept: %.*s\r\n", COX_FMT(accept.n ? accept : COX_STR("text/plain;version=0.0.4")));
	if (agent.n)
		cox_buf_printf(&s->headers, "User-Agent: %.*s\r\n", COX_FMT(agent));
	s->timeout_ms = TIMEOUT_MS;
	if (seconds.n && cox_str_to_f64(seconds, &v) == COX_OK && v > 0 && v * 1000 <= TIMEOUT_MAX_MS) {
		s->timeout_ms = (int64_t)(v * 1000);
		cox_buf_printf(&s->headers, "X-Prometheus-Scrape-Timeout-Seconds: %.*s\r\n", COX_FMT(seconds));
	}
}

void cox_agent_scrape_open(struct cox_loop *loop, const struct cox_agent_scrape_spec *spec, struct cox_agent_scrape **out)
{
	struct cox_agent_scrape *s = COX_NEW(struct cox_agent_scrape);
	s->loop = loop;
	s->spec = *spec;
	s->timer = cox_timer_new(loop, on_timer, s);
	cox_buf_append_str(&s->own, spec->own);
	snprintf(s->content_type, sizeof(s->content_type), "%s", text_type);
	take_request(s, spec->head);
	*out = s;
	if (spec->app->is_on)
		start_app(s);
	else
		start_envoy(s);
}

void cox_agent_scrape_close(struct cox_agent_scrape **sp)
{
	struct cox_agent_scrape *s = COX_MOVE(*sp);
	if (s == NULL)
		return;
	cox_agent_fetch_close(&s->envoy);
	cox_agent_fetch_close(&s->app);
	if (!s->is_over) {
		s->is_over = true;
		if (!s->has_begun)
			cox_agent_exchange_begin(s->spec.exchange, 503, text_type, NULL, NULL);
		cox_agent_exchange_end(s->spec.exchange, false);
	}
	cox_timer_free(&s->timer);
	cox_buf_fini(&s->own);
	cox_buf_fini(&s->headers);
	cox_free(s);
}
