/*
 * kube_source - what its files share: kube_source.c is the life, kube_source_object.c turns items into events,
 * kube_source_select.c decides which namespaces count.
 */
#ifndef COX_SOURCE_KUBE_SOURCE_PRIV_H
#define COX_SOURCE_KUBE_SOURCE_PRIV_H

#include "base/arena.h"
#include "base/map.h"
#include "loop/timer.h"
#include "source/kube_source.h"

/* struct cox_kube_entry.flags */
enum {
	ENTRY_REPORTED = 1, /* the sink knows findings about it */
	ENTRY_SELECTED = 2, /* a namespace that a discovery selector matches */
};

struct kind_watch {
	struct cox_kube_source *s;
	const struct cox_kind_info *info;
	struct cox_kube_watch *watch;
	bool is_synced, is_denied;
	/* Of one object, wanted by name. */
	char *key; /* "Secret/ns/name" */
	unsigned wants;
};

struct cox_kube_source {
	struct cox_kube_client *client;
	struct cox_kube_source_spec spec;
	struct cox_str mesh_name; /* of the ConfigMap with the mesh configuration */
	struct cox_source_sink sink;
	struct cox_arena text;    /* of the spec */
	struct cox_arena scratch; /* of one object */
	struct kind_watch kinds[COX_KIND_COUNT];
	struct cox_kube_watch *crds;
	struct cox_map wanted; /* key -> struct kind_watch: Secrets and ConfigMaps that somebody refers to */
	struct cox_kube_reach reach;
	struct cox_timer *turn; /* what was asked for from inside the sink */
	bool is_first_phase;    /* namespaces and the mesh configuration only */
	bool is_synced, is_stale, wants_sweep;
	/* Discovery selectors: what counts, and what is to count from the next turn on. */
	struct cox_arena selector_text[2];
	struct cox_label_selector *selectors;
	size_t selector_count;
	struct cox_label_selector *next_selectors;
	size_t next_count;
	bool has_next;
	unsigned selector_arena; /* of the two, the one in use */
};

/* --- objects */
bool kube_source_is_wanted(void *ctx, struct cox_str ns, struct cox_str name);
void kube_source_put(void *ctx, const struct cox_kube_item *item, struct cox_kube_entry *e);
void kube_source_remove(void *ctx, struct cox_kube_entry *e);
/* A report about a whole kind. */
void kube_source_report_kind(struct kind_watch *k, const char *text);

/* --- selection */
bool kube_source_ns_is_selected(const struct cox_kube_source *s, struct cox_str ns);
/* A namespace came or changed; NULL object: it went. */
void kube_source_ns_changed(struct cox_kube_source *s, struct cox_kube_entry *e, const struct cox_object *ns);
/* Brings what was set last into force. */
void kube_source_selectors_apply(struct cox_kube_source *s);

#endif
