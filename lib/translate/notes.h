/*
 * notes - which rule, and where in it, each route of a configuration was written from: for people (`coxctl explain`). A server keeps none:
 * cox_tr.notes is NULL there, and nothing of it is on the wire.
 * Thread: of the translation. Owns: its arena and list; what notes point to lives in the snapshot.
 */
#ifndef COX_TRANSLATE_NOTES_H
#define COX_TRANSLATE_NOTES_H

#include "translate/translate.h"

struct cox_route_note {
	const struct cox_vs *vs; /* NULL: the default route of a service */
	const struct cox_http_route *http;
	const struct cox_http_match *match; /* NULL: a route without conditions */
};
struct cox_vhost_note {
	struct cox_str route_config, vhost;
	const struct cox_snap_svc *svc;        /* whose default route it has, or NULL */
	COX_VEC(struct cox_route_note) routes; /* in the order of the virtual host's routes */
};
struct cox_route_notes {
	COX_VEC(struct cox_vhost_note *) vhosts;
	struct cox_vhost_note *open; /* being written */
	struct cox_arena arena;
};
void cox_route_notes_fini(struct cox_route_notes *n);
/* NULL: not written by this translation. */
const struct cox_vhost_note *cox_route_notes_find(const struct cox_route_notes *n, struct cox_str route_config, struct cox_str vhost);

/* For translators; all accept NULL. */
void cox_route_notes_begin(struct cox_route_notes *n, struct cox_str vhost, const struct cox_snap_svc *svc);
void cox_route_notes_add(struct cox_route_notes *n, const struct cox_vs *vs, const struct cox_http_route *http,
                         const struct cox_http_match *match);

/* As cox_translate_proxy(), with notes. The memo may hold virtual hosts from before: they are written again. */
void cox_translate_proxy_noted(const struct cox_snapshot *s, const struct cox_proxy *p, struct cox_memo *memo,
                               struct cox_route_notes *notes, struct cox_rendered *out);

#endif
