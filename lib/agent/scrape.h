/*
 * scrape - /stats/prometheus of port 15020: the agent's, Envoy's and the application's metrics as one answer. Thread: everything on the
 * loop. Streamed: memory does not grow with what they have; a scraper that reads slowly makes us read slowly. The application's come last:
 * in OpenMetrics they end in "# EOF", which ends the whole; their format is the answer's.
 */
#ifndef COX_AGENT_SCRAPE_H
#define COX_AGENT_SCRAPE_H

#include "agent/http_server.h"
#include "agent/probers.h"

struct cox_agent_scrape;

struct cox_agent_scrape_spec {
	struct cox_agent_exchange *exchange;     /* taken: answered by this */
	struct cox_str head;                     /* of the scraper's request: Accept and its time-out go along; copied */
	const struct cox_agent_app_metrics *app; /* borrowed until close */
	uint16_t admin_port;
	struct cox_str own; /* the agent's metrics, text format; copied */
	/* Once, when all was written or the scraper is gone. Closes the scrape. */
	void (*on_done)(void *ctx, struct cox_agent_scrape *s, bool envoy_failed, bool app_failed);
	void *ctx;
};

void cox_agent_scrape_open(struct cox_loop *loop, const struct cox_agent_scrape_spec *spec, struct cox_agent_scrape **out);
/* An answer that is not whole is broken off. Accepts NULL. */
void cox_agent_scrape_close(struct cox_agent_scrape **s);

#endif
