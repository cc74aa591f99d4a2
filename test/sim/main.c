/* main - coxsim [--seeds N | --seed S] [--plain | --nacks] [--verbose]: random histories, each from one number, each without and with
 * proxies that reject what they get. */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>

enum { STEPS = 120, WINDOW = 3, QUIET_ROUNDS = 80 };

/* The control plane writes as far as the connection takes it; requests and responses cross on the wire. */
static void exchange(struct sim *s, struct envoy *e)
{
	for (unsigned i = rng_below(&s->rng, 8); i > 0; i--) {
		unsigned what = rng_below(&s->rng, 3);
		if (what == 0 && e->inbox.n < WINDOW)
			(void)envoy_send(e);
		else if (what == 1 && !e->is_slow)
			(void)envoy_read(e);
		else if (what == 2)
			(void)envoy_deliver(e);
		check_references(s);
	}
}

static bool drain(struct sim *s)
{
	bool any = false;
	for (unsigned i = 0; i < PROXIES; i++) {
		struct envoy *e = &s->envoys[i];
		for (bool moved = true; moved && !s->failed;) {
			moved = envoy_deliver(e);
			moved |= envoy_send(e);
			moved |= envoy_read(e);
			any |= moved;
			check_references(s);
		}
	}
	return any;
}

static void settle(struct sim *s)
{
	unsigned still = 0;
	for (unsigned i = 0; i < QUIET_ROUNDS && still < 6 && !s->failed; i++) {
		world_turn(s, true);
		still = drain(s) ? 0 : still + 1;
		s->now_ms += 15000;
	}
	if (still < 6)
		sim_fail(s, "it never gets quiet");
}

static bool nobody_rejects(const struct sim *s)
{
	for (unsigned i = 0; i < PROXIES; i++)
		if (s->envoys[i].bad.n)
			return false;
	return s->world.rejections == 0;
}

static void restart_control_plane(struct sim *s)
{
	for (unsigned i = 0; i < PROXIES; i++)
		envoy_detach(&s->envoys[i]);
	world_restart(s);
	for (unsigned i = 0; i < PROXIES; i++)
		envoy_attach(&s->envoys[i]);
	world_turn(s, true);
	(void)snprintf(s->action, sizeof(s->action), "restart of the control plane");
}

static void quiet(struct sim *s)
{
	bool nacks = s->nacks_on;
	s->nacks_on = false;
	for (unsigned i = 0; i < PROXIES; i++)
		s->envoys[i].is_slow = false;
	world_relist(s);
	settle(s);
	if (!s->failed)
		check_quiet(s);
	if (!s->failed && nobody_rejects(s)) {
		/* Another control plane has nothing new to say to who holds everything. */
		uint64_t before = 0, after = 0;
		for (unsigned i = 0; i < PROXIES; i++)
			before += s->envoys[i].is_delta ? s->envoys[i].sent_resources : 0;
		restart_control_plane(s);
		settle(s);
		for (unsigned i = 0; i < PROXIES; i++)
			after += s->envoys[i].is_delta ? s->envoys[i].sent_resources : 0;
		if (!s->failed && after != before)
			sim_fail(s, "%llu resources were sent again after a restart", (unsigned long long)(after - before));
		if (!s->failed)
			check_quiet(s);
	}
	s->nacks_on = nacks;
}

static void act(struct sim *s)
{
	struct envoy *e = &s->envoys[rng_below(&s->rng, PROXIES)];
	unsigned what = rng_below(&s->rng, 100);
	(void)snprintf(s->action, sizeof(s->action), "exchange");
	if (what < 45) {
		world_change(s);
	} else if (what < 50) {
		world_repeat(s);
	} else if (what < 53) {
		world_relist(s);
	} else if (what < 57) {
		e->is_slow = !e->is_slow;
		(void)snprintf(s->action, sizeof(s->action), "proxy %u %s", e->index, e->is_slow ? "stops reading" : "reads again");
	} else if (what < 61) {
		bool forgets = rng_chance(&s->rng, 4);
		envoy_reconnect(e, forgets);
		(void)snprintf(s->action, sizeof(s->action), "proxy %u %s", e->index, forgets ? "starts anew" : "reconnects");
	} else if (what < 62) {
		restart_control_plane(s);
	} else if (what < 70) {
		s->now_ms += rng_below(&s->rng, 12000);
		(void)snprintf(s->action, sizeof(s->action), "time passes");
	}
}

static bool run(uint64_t seed, bool nacks, bool verbose)
{
	struct sim *s = COX_NEW(struct sim);
	s->seed = seed;
	s->verbose = verbose;
	s->with_nacks = nacks;
	s->rng.s = seed;
	s->rng.s = rng_next(&s->rng) ^ seed << 32; /* neighbours share nothing */
	s->now_ms = 1000;
	world_init(s);
	for (unsigned i = 0; i < PROXIES; i++)
		envoy_init(&s->envoys[i], s, i);
	s->nacks_on = nacks;
	for (s->step = 1; s->step <= STEPS && !s->failed; s->step++) {
		act(s);
		if (verbose)
			printf("step %u: %s\n", s->step, s->action);
		if (rng_chance(&s->rng, 2))
			world_turn(s, rng_chance(&s->rng, 2));
		s->now_ms += rng_below(&s->rng, 400);
		for (unsigned i = 0; i < PROXIES && !s->failed; i++)
			exchange(s, &s->envoys[i]);
		if (s->step % 40 == 0 && !s->failed)
			quiet(s);
	}
	bool passed = !s->failed;
	for (unsigned i = 0; i < PROXIES; i++)
		envoy_fini(&s->envoys[i]);
	world_fini(s);
	cox_free(s);
	return passed;
}

enum { PLAIN = 1, NACKS = 2 };

static int usage(void)
{
	fprintf(stderr, "usage: coxsim [--seeds N | --seed S] [--plain | --nacks] [--verbose]\n");
	return 2;
}

int main(int argc, char **argv)
{
	uint64_t seeds = 200, first = 1, passed = 0, failed = 0;
	unsigned kinds = PLAIN | NACKS;
	bool verbose = false;
	for (int i = 1; i < argc; i++) {
		struct cox_str value = cox_str_of(i + 1 < argc ? argv[i + 1] : "");
		bool ok = true;
		if (strcmp(argv[i], "--verbose") == 0)
			verbose = true;
		else if (strcmp(argv[i], "--nacks") == 0)
			kinds = NACKS;
		else if (strcmp(argv[i], "--plain") == 0)
			kinds = PLAIN;
		else if (strcmp(argv[i], "--seeds") == 0)
			ok = cox_str_to_u64(value, &seeds) == COX_OK, i++;
		else if (strcmp(argv[i], "--seed") == 0)
			ok = cox_str_to_u64(value, &first) == COX_OK, seeds = 1, i++;
		else
			ok = false;
		if (!ok)
			return usage();
	}
	for (uint64_t seed = first; seed < first + seeds; seed++)
		for (unsigned kind = PLAIN; kind <= NACKS; kind <<= 1)
			if (kinds & kind) {
				bool ok = run(seed, kind == NACKS, verbose);
				passed += ok;
				failed += !ok;
			}
	printf("sim: %llu passed, %llu failed\n", (unsigned long long)passed, (unsigned long long)failed);
	return failed ? 1 : 0;
}
