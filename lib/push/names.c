/* names - the name table is made for those views alone in which some stream asked for it. */
#include "push/push_priv.h"

bool push_names_are_wanted(const struct unit *u)
{
	for (size_t i = 0; i < u->clients.n; i++)
		if (u->clients.p[i]->wants_names)
			return true;
	return false;
}

void push_names_want(struct cox_push *p, const struct cox_push_client *c)
{
	struct unit *u = c->units[COX_PUSH_SCOPE];
	if (!c->wants_names || !u || !u->wanted || u->wanted->sets[COX_TYPE_NDS])
		return; /* not wanted, there already, or made with the view's first translation */
	u->inputs = (struct cox_hash){ 0, 0 };
	push_unit_mark(p, u);
}

static void on_watch(struct cox_loop_task *task)
{
	struct cox_push_client *c = (struct cox_push_client *)(void *)((char *)task - offsetof(struct cox_push_client, names_task));
	c->wants_names = true;
	push_names_want(c->push, c);
	push_wake(c->push);
}

void cox_push_watch_names(struct cox_push *p, struct cox_push_client *client)
{
	/* Tasks of one sender keep their order: it runs before the client's end. */
	client->names_task.fn = on_watch;
	cox_loop_post(p->opts.loop, &client->names_task);
}
