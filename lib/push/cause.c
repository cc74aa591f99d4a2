#include "push/cause.h"

#include "base/clock.h"
#include "push/push_priv.h"

static struct push_cause *current(struct cox_push *p) { return p->cause ? &p->causes[p->cause % COX_PUSH_CAUSES_KEPT] : NULL; }

uint64_t push_cause_begin(struct cox_push *p, int64_t event_ns, bool is_endpoints)
{
	int64_t now = cox_clock_mono_ns(), event = event_ns ? event_ns : now;
	if (!p->causes)
		p->causes = cox_calloc(COX_PUSH_CAUSES_KEPT, sizeof(*p->causes));
	p->cause = ++p->last_cause;
	struct push_cause *c = current(p);
	*c = (struct push_cause){ .began_ns = now };
	c->pub.id = p->cause;
	c->pub.event_ms = cox_clock_wall_ms() - (now - event) / 1000000;
	c->pub.waited_us = (uint32_t)cox_min_size((size_t)((now - event) / 1000), UINT32_MAX);
	c->pub.is_endpoints = is_endpoints;
	return p->cause;
}

void push_cause_add(struct cox_push *p, const struct cox_change *change)
{
	struct push_cause *c = current(p);
	c->pub.changes++;
	if (c->ids_n + change->id.n + 2 > sizeof(c->ids))
		return;
	if (c->ids_n)
		c->ids[c->ids_n++] = '\n';
	if (change->is_removed)
		c->ids[c->ids_n++] = '-';
	memcpy(c->ids + c->ids_n, change->id.p, change->id.n);
	c->ids_n += change->id.n;
}

void push_cause_view(struct cox_push *p, const struct unit *u, bool is_made)
{
	struct push_cause *c = current(p);
	if (!c)
		return;
	c->pub.views++;
	c->pub.views_made += is_made;
	c->clients[u->part] += is_made ? (uint32_t)u->clients.n : 0;
	/* A proxy has one view of each part. */
	c->pub.proxies =
	    c->clients[COX_PUSH_SCOPE] > c->clients[COX_PUSH_WORKLOAD] ? c->clients[COX_PUSH_SCOPE] : c->clients[COX_PUSH_WORKLOAD];
}

void push_cause_end(struct cox_push *p)
{
	struct push_cause *c = current(p);
	if (c && !c->pub.took_us)
		c->pub.took_us = (uint32_t)cox_min_size((size_t)((cox_clock_mono_ns() - c->began_ns) / 1000) + 1, UINT32_MAX);
}

size_t cox_push_causes(const struct cox_push *p, uint64_t from, struct cox_arena *arena, struct cox_push_cause **out)
{
	uint64_t first = p->last_cause > COX_PUSH_CAUSES_KEPT ? p->last_cause - COX_PUSH_CAUSES_KEPT + 1 : 1;
	size_t n = 0;
	from = from > first ? from : first;
	*out = COX_ARENA_ARRAY(arena, struct cox_push_cause, from <= p->last_cause ? (size_t)(p->last_cause - from + 1) : 1);
	for (uint64_t id = from; id <= p->last_cause; id++) {
		const struct push_cause *c = &p->causes[id % COX_PUSH_CAUSES_KEPT];
		(*out)[n] = c->pub;
		(*out)[n++].ids = cox_arena_str(arena, cox_str_make(c->ids, c->ids_n));
	}
	return n;
}
