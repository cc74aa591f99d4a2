/* diff_priv.h - what the files of diff share. */
#ifndef COX_TOOL_DIFF_PRIV_H
#define COX_TOOL_DIFF_PRIV_H

#include "tool/diff.h"
#include "translate/render_cache.h"

/* diff_effect.c: {"resources", "hosts", "endpoints", "shifts", "differences"} of two proxies' sets; NULL: equal. Either may be NULL: the
 * proxy is not there. */
struct cox_json *diff_effect(struct cox_arena *a, const struct cox_rendered *before, const struct cox_rendered *after, bool is_detailed);
/* diff_sent.c: what a live server sent to a proxy, without secrets and what goes to agents; what was made for it in the same form, less
 * what it did not ask for. */
enum cox_rc diff_sent_read(const char *server, struct cox_str proxy, struct cox_arena *a, struct cox_rendered *out, struct cox_err *err);
void diff_sent_align(const struct cox_rendered *sent, struct cox_rendered *made);
void diff_sent_vhosts_fold(struct cox_arena *a, struct cox_json *dump, const struct cox_json *section);
/* diff_hosts.c: adds what a changed route configuration means for hosts and weights. NULL trees: not there. */
struct diff_hosts {
	struct cox_arena *a;
	struct cox_json *lost, *gained, *shifts;
};
void diff_hosts_compare(struct diff_hosts *h, struct cox_str config, const struct cox_json *before, const struct cox_json *after);
/* diff_json.c: appends {"path", "before", "after"} for each leaf that differs. Items of lists are told apart by "name" where they all have
 * one. */
void diff_json(struct cox_arena *a, struct cox_str path, const struct cox_json *before, const struct cox_json *after,
               struct cox_json *into);

#endif
