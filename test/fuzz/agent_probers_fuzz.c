/* What the injector puts into the environment, any bytes: nothing of it may begin a header or a request line of its own. */
#include "agent/probers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static bool is_line(struct cox_str s) { return cox_str_find(s, '\r') < 0 && cox_str_find(s, '\n') < 0; }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct cox_str text = cox_str_make(data, n);
	struct cox_agent_probers list;
	struct cox_agent_app_metrics m;
	if (cox_agent_probers_read(text, &list, NULL) == COX_OK) {
		for (size_t i = 0; i < list.n; i++) {
			const struct cox_agent_prober *p = &list.p[i];
			COX_ASSERT(p->port != 0 && p->timeout_ms > 0 && cox_agent_probers_find(&list, p->path) != NULL);
			if (p->kind != COX_AGENT_PROBE_HTTP)
				continue;
			COX_ASSERT(is_line(p->host) && is_line(p->target) && p->target.p[0] == '/' && cox_str_find(p->target, ' ') < 0);
			COX_ASSERT(!p->headers.n || cox_str_has_suffix(p->headers, COX_STR("\r\n")));
		}
		cox_agent_probers_fini(&list);
	}
	if (cox_agent_app_metrics_read(text, &m, NULL) == COX_OK && m.is_on)
		COX_ASSERT(m.port != 0 && m.port != 15020 && m.path[0] == '/' && is_line(cox_str_of(m.path)));
	return 0;
}
