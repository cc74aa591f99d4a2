/*
 * debug - questions of tools on ADS streams: types "istio.io/debug" and "istio.io/debug/<page>", as istioctl asks them (protocol facts,
 * section 15). Such a stream is no proxy: nothing is translated for it. Who answers is above this module (admin), and is told who asks.
 * Thread: a question lives on its stream's loop.
 */
#ifndef COX_XDS_DEBUG_H
#define COX_XDS_DEBUG_H

#include "base/buf.h"
#include "base/err.h"
#include "loop/loop.h"

struct cox_xds_server;

/* Who asks. */
struct cox_xds_asker {
	bool is_loopback; /* in clear text from this host: as open as the HTTP ports are for it */
	bool is_verified;
	struct cox_str identity, ns; /* SPIFFE id and its namespace; empty: not verified */
};
struct cox_xds_question;
struct cox_xds_asked {
	struct cox_loop *loop; /* the stream's */
	struct cox_str type_url;
	const struct cox_str *names; /* resource_names */
	size_t name_n;
	struct cox_xds_asker who;
};
/* Part of an answer: a resource, as it goes into an Any. */
struct cox_xds_item {
	struct cox_str name, type_url; /* copied */
	struct cox_buf value;
};

struct cox_xds_debug {
	/* On the stream's loop; must not block. `asked` is borrowed until return. cox_xds_question_answer_take() follows, once. NULL:
	 * nobody answers. */
	void (*ask)(void *ctx, struct cox_xds_question *q, const struct cox_xds_asked *asked);
	void *ctx;
};
/* On the stream's loop. COX_OK: the items' values are taken, the array is not. Else `text` says why: a stream of a tool ends with it, a
 * proxy's goes on and gets it as its answer. */
void cox_xds_question_answer_take(struct cox_xds_question *q, enum cox_rc rc, struct cox_str text, struct cox_xds_item *items, size_t n);
/* Any thread but a stream loop: who answers from now on; copies. What was asked before is still answered by the one before. */
void cox_xds_server_set_debug(struct cox_xds_server *s, const struct cox_xds_debug *debug);

#endif
