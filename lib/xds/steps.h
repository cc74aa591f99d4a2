/*
 * steps - the difference between two sets, computed once and shared by every proxy that makes that step; the
 * subscriptions of proxies as interned lists of name hashes; filtered and merged sets. Everything is cached by identity.
 * Thread: one stream loop. Pure apart from its cache.
 */
#ifndef COX_XDS_STEPS_H
#define COX_XDS_STEPS_H

#include "base/vec.h"
#include "translate/resource.h"

struct cox_steps;
struct cox_steps *cox_steps_new(void);
void cox_steps_free(struct cox_steps *c);
/* Forgets what was not used since the last two calls: about once a second. */
void cox_steps_age(struct cox_steps *c);

/* Names by 64-bit hash, sorted, distinct; shared by all proxies that subscribed to the same ones. */
struct cox_names {
	struct cox_ref ref;
	struct cox_sum sum; /* with no version; see cox_set */
	size_t n;
	uint64_t items[];
};
const struct cox_names *cox_names_ref(const struct cox_names *n);
void cox_names_unref(const struct cox_names *n);
bool cox_names_has(const struct cox_names *n, uint64_t name); /* NULL has none */
/* `base` (may be NULL) plus `add` minus `del`. Gives a shared list, or NULL when it is empty. */
const struct cox_names *cox_names_change(struct cox_steps *c, const struct cox_names *base, const uint64_t *add, size_t add_n,
                                         const uint64_t *del, size_t del_n);

struct cox_need {
	uint64_t hash; /* of the name */
	struct cox_str name;
};
struct cox_step {
	struct cox_ref ref;
	const struct cox_set *from, *to; /* from may be NULL */
	size_t changed_n, removed_n;
	const struct cox_resource **changed; /* in `to`, new or different; borrowed from it */
	struct cox_str *removed;             /* names in `from` alone; borrowed from it */
	size_t new_needs_n;
	struct cox_need *new_needs; /* clusters that `changed` refers to and its old versions did not; sorted by hash; borrowed from `to` */
	void *encoded;              /* made once by the encoder, freed with free_encoded */
	void (*free_encoded)(void *encoded);
};
/* Shares; either side may be NULL (nothing). */
const struct cox_step *cox_step_between(struct cox_steps *c, const struct cox_set *from, const struct cox_set *to);
const struct cox_step *cox_step_ref(const struct cox_step *s);
void cox_step_unref(const struct cox_step *s);

/* Every resource of `set` (may be NULL) was accepted by a proxy of this class. */
void cox_steps_mark_accepted(struct cox_steps *c, const struct cox_set *set, unsigned klass);
/* The clusters that resources of `set` refer to. Shares; NULL: none, or no set. */
const struct cox_names *cox_steps_needs(struct cox_steps *c, const struct cox_set *set);
/* `set` restricted to `names`; the set itself where all are named. Shares. NULL gives NULL. */
const struct cox_set *cox_steps_filter(struct cox_steps *c, const struct cox_set *set, const struct cox_names *names);
/* Virtual hosts whose route configuration (their name before the slash) is in `routes`; of the others those that are in `sent` (may be
 * NULL), as they are there. `vhosts` itself where all are. Shares. NULL gives NULL. */
const struct cox_set *cox_steps_vhosts_of(struct cox_steps *c, const struct cox_set *vhosts, const struct cox_set *routes,
                                          const struct cox_set *sent);
/* `to`, and what only `from` has, but no name that `other` (may be NULL) has. Shares. */
const struct cox_set *cox_steps_keep(struct cox_steps *c, const struct cox_set *from, const struct cox_set *to,
                                     const struct cox_set *other);
/* `set` without the names of `other`; the set itself where they share none. Shares. Either may be NULL. */
const struct cox_set *cox_steps_without(struct cox_steps *c, const struct cox_set *set, const struct cox_set *other);

#endif
