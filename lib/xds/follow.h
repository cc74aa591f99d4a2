/*
 * follow - private to xds: which generations a stream's proxy has acknowledged (server.h, cox_xds_server_followed()). On the stream's loop.
 * Nothing is counted for proxies that are in step: a stream is in the list of those that lag from the delivery of something new until that
 * is acknowledged, and only those are looked at.
 *
 * A lagging stream has a checkpoint: for each type the response that brought it up to what was wanted when the generation came, or later.
 * So a proxy whose endpoints change all the time gets past it, too.
 */
#ifndef COX_XDS_FOLLOW_H
#define COX_XDS_FOLLOW_H

#include "translate/resource.h"

struct ads_stream;
struct stream_loop;

struct follow {
	bool is_listed;     /* in the loop's `lagging` */
	bool is_moved;      /* something new was delivered since the last mark */
	uint64_t behind;    /* the first generation that is not acknowledged; 0: none */
	uint64_t behind_by; /* the newest one that the checkpoint covers */
	uint64_t next;      /* the first one after it; 0: none */
	bool has[COX_TYPE_COUNT];
	uint64_t needs[COX_TYPE_COUNT]; /* the response whose acknowledgement says so, where has[] */
};

/* Something new is wanted. */
void follow_moved(struct ads_stream *a);
/* Something was sent, or acknowledged. */
void follow_check(struct ads_stream *a);
void follow_end(struct ads_stream *a);

#endif
