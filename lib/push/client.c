/* client - proxies come, go, and get deliveries on their own loops. */
#include "push/push_priv.h"

const struct cox_wanted *cox_wanted_ref(const struct cox_wanted *w)
{
	cox_ref_get((struct cox_ref *)&w->ref);
	return w;
}

void cox_wanted_unref(const struct cox_wanted *w)
{
	if (!w || !cox_ref_put((struct cox_ref *)&w->ref))
		return;
	for (size_t t = 0; t < COX_TYPE_COUNT; t++)
		cox_set_unref(w->sets[t]);
	cox_free((void *)w);
}

void push_client_unref(struct cox_push_client *c)
{
	if (!cox_ref_put(&c->ref))
		return;
	cox_proxy_unref(c->spec.proxy);
	cox_free(c->identity_text);
	cox_free(c);
}

#define CLIENT_OF(task, member) ((struct cox_push_client *)(void *)((char *)(task)-offsetof(struct cox_push_client, member)))

static void join_units(struct cox_push *p, struct cox_push_client *c)
{
	for (unsigned part = 0; part < COX_PUSH_PARTS; part++) {
		c->units[part] = push_unit_get(p, part, c);
		cox_vec_push(&c->units[part]->clients, c);
	}
	push_names_want(p, c);
}

static void on_attach(struct cox_loop_task *task)
{
	struct cox_push_client *c = CLIENT_OF(task, attach_task);
	struct cox_push *p = c->push;
	c->index = p->clients.n;
	cox_vec_push(&p->clients, c);
	if (p->snapshot) {
		join_units(p, c);
		push_queue(p, c);
	}
	push_wake(p);
}

static void on_detach(struct cox_loop_task *task)
{
	struct cox_push_client *c = CLIENT_OF(task, detach_task);
	struct cox_push *p = c->push;
	struct cox_push_client *last = p->clients.p[p->clients.n - 1];
	COX_ASSERT(p->clients.p[c->index] == c);
	p->clients.p[c->index] = last;
	last->index = c->index;
	p->clients.n--;
	for (size_t i = 0; i < p->outbox.n && c->is_queued; i++)
		if (p->outbox.p[i] == c) {
			cox_vec_remove(&p->outbox, i);
			c->is_queued = false;
		}
	for (unsigned part = 0; part < COX_PUSH_PARTS; part++)
		if (c->units[part])
			push_unit_leave(p, c->units[part], c);
	c->has_left = true;
	push_rejections_leave(p, c);
	push_client_unref(c);
}

static struct cox_str text_put(char *to, struct cox_str s)
{
	if (s.n > 0)
		memcpy(to, s.p, s.n);
	return (struct cox_str){ to, s.n };
}

struct cox_push_client *cox_push_attach(struct cox_push *p, const struct cox_push_client_spec *spec)
{
	struct cox_push_client *c = COX_NEW(struct cox_push_client);
	cox_ref_init(&c->ref);
	c->push = p;
	c->spec = *spec;
	c->identity_text = cox_zalloc(spec->identity.ns.n + spec->identity.service_account.n + 1);
	c->spec.identity.ns = text_put(c->identity_text, spec->identity.ns);
	c->spec.identity.service_account = text_put(c->identity_text + spec->identity.ns.n, spec->identity.service_account);
	cox_proxy_ref(spec->proxy);
	c->attach_task.fn = on_attach;
	c->detach_task.fn = on_detach;
	cox_ref_get(&c->ref); /* one for the config loop, one for the caller */
	cox_loop_post(p->opts.loop, &c->attach_task);
	return c;
}

void cox_push_detach(struct cox_push *p, struct cox_push_client **client)
{
	struct cox_push_client *c = *client;
	if (!c)
		return;
	*client = NULL;
	c->is_closed = true;
	cox_loop_post(p->opts.loop, &c->detach_task);
	push_client_unref(c);
}

/* --- deliveries: one message per loop and turn --------------------------------------------------- */

struct delivery {
	struct cox_push_client *client;
	const struct cox_wanted *parts[COX_PUSH_PARTS];
};
struct batch {
	struct cox_loop_task task;
	struct cox_loop *loop;
	COX_VEC(struct delivery) items;
};

static void on_batch(struct cox_loop_task *task)
{
	struct batch *b = (struct batch *)(void *)task;
	for (size_t i = 0; i < b->items.n; i++) {
		struct delivery *d = &b->items.p[i];
		if (!d->client->is_closed)
			d->client->spec.deliver(d->client->spec.arg, d->parts);
		for (unsigned part = 0; part < COX_PUSH_PARTS; part++)
			cox_wanted_unref(d->parts[part]);
		push_client_unref(d->client);
	}
	cox_vec_fini(&b->items);
	cox_free(b);
}

void push_queue(struct cox_push *p, struct cox_push_client *c)
{
	if (c->is_queued || !c->units[0]->wanted || !c->units[1]->wanted)
		return;
	c->is_queued = true;
	cox_vec_push(&p->outbox, c);
}

void push_queue_all(struct cox_push *p, struct unit *u)
{
	for (size_t i = 0; i < u->clients.n; i++)
		push_queue(p, u->clients.p[i]);
}

void push_flush(struct cox_push *p)
{
	COX_VEC(struct batch *) batches = { 0 };
	for (size_t i = 0; i < p->outbox.n; i++) {
		struct cox_push_client *c = p->outbox.p[i];
		struct batch *b = NULL;
		c->is_queued = false;
		if (!c->units[0]->wanted || !c->units[1]->wanted)
			continue; /* found new views since it was queued: it is queued again when they are translated */
		for (size_t k = 0; k < batches.n && !b; k++)
			b = batches.p[k]->loop == c->spec.loop ? batches.p[k] : NULL;
		if (!b) {
			b = COX_NEW(struct batch);
			b->loop = c->spec.loop;
			b->task.fn = on_batch;
			cox_vec_push(&batches, b);
		}
		cox_ref_get(&c->ref);
		cox_vec_push(&b->items,
		             ((struct delivery){ c, { cox_wanted_ref(c->units[0]->wanted), cox_wanted_ref(c->units[1]->wanted) } }));
	}
	cox_vec_clear(&p->outbox);
	for (size_t k = 0; k < batches.n; k++)
		cox_loop_post(batches.p[k]->loop, &batches.p[k]->task);
	cox_vec_fini(&batches);
}

/* The keys of views depend on which labels selectors look at: after a change every client finds its views anew. */
void push_rekey(struct cox_push *p)
{
	for (size_t i = 0; i < p->clients.n; i++) {
		struct cox_push_client *c = p->clients.p[i];
		struct unit *old[COX_PUSH_PARTS] = { c->units[0], c->units[1] };
		join_units(p, c);
		for (unsigned part = 0; part < COX_PUSH_PARTS; part++)
			if (old[part])
				push_unit_leave(p, old[part], c);
		push_queue(p, c);
	}
}
