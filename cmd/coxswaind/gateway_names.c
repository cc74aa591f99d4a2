#include "gateway_names.h"

#include "base/log.h"
#include "loop/timer.h"
#include "net/resolve.h"

enum { AGAIN_MS = 30 * 1000 }; /* the resolver does not say how long an answer holds; load balancers change theirs by minutes */

struct gateway_names {
	struct cox_loop *loop;
	struct cox_registry *registry;
	struct cox_push *push;
	struct cox_timer *timer;
	struct cox_resolve *question;
	struct cox_arena text; /* of one round */
	const struct cox_str *names;
	size_t n, at;
	struct cox_hash asked; /* the names of the last round */
	bool is_asking;        /* a round is in progress */
};

static void ask(struct gateway_names *g);

static struct cox_hash names_hash(const struct cox_str *names, size_t n)
{
	struct cox_hash h = { 0 };
	for (size_t i = 0; i < n; i++)
		h = cox_hash_combine(h, cox_hash128(names[i].p, names[i].n));
	return h;
}

static void on_answer(void *ctx, enum cox_rc rc, const struct cox_str *addresses, size_t n)
{
	struct gateway_names *g = ctx;
	struct cox_str name = g->names[g->at++];
	g->question = NULL;
	/* Trouble of the resolver's own takes nothing away. */
	if ((rc == COX_OK || rc == COX_ENOTFOUND) && cox_registry_set_gateway_addresses(g->registry, name, addresses, n)) {
		cox_log(n ? COX_LOG_INFO : COX_LOG_WARN, "networks", "gateway name=%.*s addresses=%zu", COX_FMT(name), n);
		cox_push_poke(g->push);
	}
	ask(g);
}

static void ask(struct gateway_names *g)
{
	while (g->at < g->n && !g->question) {
		cox_resolve_open(g->loop, g->names[g->at], on_answer, g, &g->question);
		g->at += g->question == NULL; /* no name */
	}
	if (g->question)
		return;
	g->is_asking = false;
	if (g->n)
		cox_timer_start(g->timer, AGAIN_MS, 0);
	gateway_names_poke(g); /* one may have come meanwhile */
}

static void round_begin(void *ctx)
{
	struct gateway_names *g = ctx;
	if (g->is_asking)
		return;
	cox_arena_fini(&g->text);
	g->text = (struct cox_arena){ 0 };
	const struct cox_str *names;
	g->n = cox_registry_gateway_names(g->registry, &g->text, &names);
	struct cox_str *own = COX_ARENA_ARRAY(&g->text, struct cox_str, g->n + 1);
	for (size_t i = 0; i < g->n; i++)
		own[i] = cox_arena_str(&g->text, names[i]);
	g->names = own;
	g->asked = names_hash(own, g->n);
	g->at = 0;
	g->is_asking = g->n > 0;
	ask(g);
}

void gateway_names_poke(struct gateway_names *g)
{
	COX_AUTO(cox_arena_fini) struct cox_arena a = { 0 };
	const struct cox_str *names;
	size_t n = g ? cox_registry_gateway_names(g->registry, &a, &names) : 0;
	if (g && !g->is_asking && (n || g->n) && !cox_hash_eq(names_hash(names, n), g->asked))
		cox_timer_start(g->timer, 0, 0);
}

struct gateway_names *gateway_names_new(struct cox_loop *loop, struct cox_registry *registry, struct cox_push *push)
{
	struct gateway_names *g = COX_NEW(struct gateway_names);
	g->loop = loop;
	g->registry = registry;
	g->push = push;
	g->timer = cox_timer_new(loop, round_begin, g);
	return g;
}

void gateway_names_free(struct gateway_names *g)
{
	if (!g)
		return;
	cox_resolve_close(&g->question);
	cox_timer_free(&g->timer);
	cox_arena_fini(&g->text);
	cox_free(g);
}
