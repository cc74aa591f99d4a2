/*
 * The state of one ADS stream, driven by hand: what is sent, when, and what is not.
 * covers: b1 b2 b16 b17 b18 b24 b25
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "xds/core.h"

#include <stdio.h>

struct fixture {
	struct cox_steps *steps;
	struct cox_xds_core *core;
	struct cox_xds_response r;
	int64_t now, wake;
	unsigned rejected, gates;
	char rejected_name[64];
};

static void on_rejected(void *arg, const struct cox_xds_rejection *r)
{
	struct fixture *f = arg;
	f->rejected++;
	cox_str_to_cstr(r->resource->name, f->rejected_name, sizeof(f->rejected_name));
}
static void on_gate(void *arg, enum cox_type type)
{
	(void)type;
	((struct fixture *)arg)->gates++;
}

static void open_core(struct fixture *f, bool is_delta, bool has_vhds)
{
	*f = (struct fixture){ .steps = cox_steps_new(), .now = 1000 };
	f->core = cox_xds_core_new(&(struct cox_xds_core_options){
	    .is_delta = is_delta, .has_vhds = has_vhds, .steps = f->steps, .rejected = on_rejected, .gate_expired = on_gate, .arg = f });
}
static void close_core(struct fixture *f)
{
	cox_xds_core_free(f->core);
	cox_steps_free(f->steps);
}

/* "a=1 b=2" -> a set of resources with these names and contents; "r=1>x,y" also names what it needs. */
static const struct cox_set *set_of(enum cox_type type, const char *text)
{
	const struct cox_resource *items[32];
	struct cox_str rest = cox_str_of(text), word;
	size_t n = 0;
	while (rest.n && cox_str_next(&rest, ' ', &word)) {
		char needs[128] = "";
		ptrdiff_t eq = cox_str_find(word, '='), gt = cox_str_find(word, '>');
		struct cox_str body = cox_str_sub(word, (size_t)eq + 1, (gt < 0 ? word.n : (size_t)gt) - (size_t)eq - 1);
		if (gt >= 0)
			cox_str_to_cstr(cox_str_sub(word, (size_t)gt + 1, word.n), needs, sizeof(needs));
		for (char *p = needs; *p; p++)
			if (*p == ',')
				*p = '\n';
		items[n++] = cox_resource_new(type, cox_str_sub(word, 0, (size_t)eq), body, COX_STR("Kind/ns/name"), cox_str_of(needs));
	}
	return cox_set_build_take(type, items, n);
}

struct want {
	const char *cds, *eds, *lds, *rds, *vhds, *own_cds, *own_lds, *trust;
}; /* own: of the workload's part */
static void want(struct fixture *f, struct want w)
{
	const struct cox_set *sets[COX_TYPE_COUNT] = { NULL }, *own[COX_TYPE_COUNT] = { NULL };
	sets[COX_TYPE_CDS] = set_of(COX_TYPE_CDS, w.cds ? w.cds : "");
	sets[COX_TYPE_EDS] = set_of(COX_TYPE_EDS, w.eds ? w.eds : "");
	sets[COX_TYPE_LDS] = set_of(COX_TYPE_LDS, w.lds ? w.lds : "");
	sets[COX_TYPE_RDS] = set_of(COX_TYPE_RDS, w.rds ? w.rds : "");
	sets[COX_TYPE_TRUST] = set_of(COX_TYPE_TRUST, w.trust ? w.trust : "");
	sets[COX_TYPE_VHDS] = set_of(COX_TYPE_VHDS, w.vhds ? w.vhds : "");
	cox_xds_core_want(f->core, 0, sets, f->now);
	own[COX_TYPE_CDS] = w.own_cds ? set_of(COX_TYPE_CDS, w.own_cds) : NULL;
	own[COX_TYPE_LDS] = w.own_lds ? set_of(COX_TYPE_LDS, w.own_lds) : NULL;
	cox_xds_core_want(f->core, 1, own, f->now);
	for (size_t t = 0; t < COX_TYPE_COUNT; t++) {
		cox_set_unref(sets[t]);
		cox_set_unref(own[t]);
	}
}

static void request(struct fixture *f, struct cox_xds_request r)
{
	struct cox_err err = { 0 };
	assert_int_equal(cox_xds_core_request(f->core, &r, f->now, &err), COX_OK);
}
static void subscribe(struct fixture *f, enum cox_type type, const char *names)
{
	struct cox_str list[16], rest = cox_str_of(names), word;
	size_t n = 0;
	while (rest.n && cox_str_next(&rest, ' ', &word))
		list[n++] = word;
	request(f, (struct cox_xds_request){ .type = type, .subscribe = list, .subscribe_n = n });
}
static void answer(struct fixture *f, enum cox_type type, uint64_t nonce, const char *error)
{
	char text[24];
	snprintf(text, sizeof(text), "%llu", (unsigned long long)nonce);
	request(f, (struct cox_xds_request){
	               .type = type, .nonce = cox_str_of(text), .has_error = error != NULL, .error = cox_str_of(error ? error : "") });
}

static bool next(struct fixture *f) { return cox_xds_core_next(f->core, f->now, &f->r, &f->wake); }

/* The response as "TYPE +name=body +name=body -removed ?missing", sorted as sent. */
static const char *shown(struct fixture *f)
{
	static char text[512];
	struct cox_buf b = { 0 };
	if (!next(f))
		return "nothing";
	cox_buf_append_str(&b, cox_type_short(f->r.type));
	for (unsigned p = 0; p < COX_XDS_PARTS; p++) {
		const struct cox_step *s = f->r.steps[p];
		for (size_t i = 0; s && i < s->changed_n; i++) {
			cox_buf_printf(&b, " +%.*s=", COX_FMT(s->changed[i]->name));
			cox_resource_flatten(s->changed[i], &b);
		}
		for (size_t i = 0; s && i < s->removed_n; i++)
			cox_buf_printf(&b, " -%.*s", COX_FMT(s->removed[i]));
	}
	for (size_t i = 0; i < f->r.resource_n; i++) {
		cox_buf_printf(&b, " +%.*s=", COX_FMT(f->r.resources[i]->name));
		cox_resource_flatten(f->r.resources[i], &b);
	}
	for (size_t i = 0; i < f->r.removed_n; i++)
		cox_buf_printf(&b, " -%.*s", COX_FMT(f->r.removed[i]));
	for (size_t i = 0; i < f->r.missing_n; i++)
		cox_buf_printf(&b, " ?%.*s", COX_FMT(f->r.missing[i]));
	cox_str_to_cstr(cox_buf_str(&b), text, sizeof(text));
	cox_buf_fini(&b);
	return text;
}
static void ack(struct fixture *f) { answer(f, f->r.type, f->r.nonce, NULL); }

static void connect_all(struct fixture *f, struct want w)
{
	want(f, w);
	subscribe(f, COX_TYPE_CDS, "");
	assert_true(next(f));
	ack(f);
	subscribe(f, COX_TYPE_EDS, "a b c");
	assert_true(next(f));
	ack(f);
	subscribe(f, COX_TYPE_LDS, "");
	assert_true(next(f));
	ack(f);
	subscribe(f, COX_TYPE_RDS, "r");
	assert_true(next(f));
	ack(f);
	assert_string_equal(shown(f), "nothing");
}

static void test_waits_until_wanted(void **state)
{
	struct fixture f;
	(void)state;
	open_core(&f, true, false);
	subscribe(&f, COX_TYPE_CDS, "");
	assert_string_equal(shown(&f), "nothing");
	want(&f, (struct want){ .cds = "a=1 b=1" });
	assert_string_equal(shown(&f), "CDS +a=1 +b=1");
	assert_string_equal(shown(&f), "nothing");
	close_core(&f);
}

static void test_only_differences_are_sent(void **state)
{
	struct fixture f;
	(void)state;
	open_core(&f, true, false);
	connect_all(&f, (struct want){ .cds = "a=1 b=1", .eds = "a=x b=x", .lds = "l=1", .rds = "r=1" });
	want(&f, (struct want){ .cds = "a=1 b=1", .eds = "a=y b=x", .lds = "l=1", .rds = "r=1" });
	assert_string_equal(shown(&f), "EDS +a=y");
	assert_string_equal(shown(&f), "nothing");
	close_core(&f);
}

/* facts, section 20: a changed cluster warms until its endpoints come again, unasked. */
static void test_changed_cluster_gets_endpoints_again(void **state)
{
	struct fixture f;
	(void)state;
	open_core(&f, true, false);
	connect_all(&f, (struct want){ .cds = "a=1 b=1", .eds = "a=x b=x", .lds = "l=1", .rds = "r=1" });
	want(&f, (struct want){ .cds = "a=2 b=1", .eds = "a=x b=x", .lds = "l=1", .rds = "r=1" });
	assert_string_equal(shown(&f), "CDS +a=2");
	assert_string_equal(shown(&f), "EDS +a=x"); /* not waiting for the CDS acknowledgement, which Envoy withholds */
	close_core(&f);
}

static void test_next_cds_after_patience(void **state)
{
	struct fixture f;
	(void)state;
	open_core(&f, true, false);
	connect_all(&f, (struct want){ .cds = "a=1", .eds = "a=x", .lds = "l=1", .rds = "r=1" });
	want(&f, (struct want){ .cds = "a=2", .eds = "a=x", .lds = "l=1", .rds = "r=1" });
	assert_string_equal(shown(&f), "CDS +a=2");
	assert_string_equal(shown(&f), "EDS +a=x");
	ack(&f);
	want(&f, (struct want){ .cds = "a=3", .eds = "a=x", .lds = "l=1", .rds = "r=1" });
	assert_string_equal(shown(&f), "nothing");
	assert_int_equal(f.wake, f.now + COX_XDS_CDS_PATIENCE_MS);
	f.now = f.wake;
	assert_string_equal(shown(&f), "CDS +a=3");
	close_core(&f);
}

static void test_next_bundle_does_not_wait(void **state)
{
	struct fixture f;
	(void)state;
	open_core(&f, true, false);
	want(&f, (struct want){ .trust = "t=1" });
	subscribe(&f, COX_TYPE_TRUST, "");
	assert_string_equal(shown(&f), "TRUST +t=1");
	want(&f, (struct want){ .trust = "t=2" });
	assert_string_equal(shown(&f), "TRUST +t=2"); /* the first is not acknowledged */
	ack(&f);
	assert_string_equal(shown(&f), "nothing");
	close_core(&f);
}

static void test_route_waits_for_its_cluster(void **state)
{
	struct fixture f;
	(void)state;
	open_core(&f, true, false);
	connect_all(&f, (struct want){ .cds = "a=1", .eds = "a=x", .lds = "l=1", .rds = "r=1>a" });
	want(&f, (struct want){ .cds = "a=1 b=1", .eds = "a=x b=x", .lds = "l=1", .rds = "r=2>a,b" });
	assert_string_equal(shown(&f), "CDS +b=1");
	uint64_t cds = f.r.nonce;
	assert_string_equal(shown(&f), "EDS +b=x");
	assert_string_equal(shown(&f), "nothing"); /* the gate is closed */
	answer(&f, COX_TYPE_CDS, cds, NULL);
	assert_string_equal(shown(&f), "RDS +r=2");
	assert_int_equal(f.gates, 0);
	close_core(&f);
}

static void test_route_goes_on_when_endpoints_are_acknowledged(void **state)
{
	struct fixture f;
	(void)state;
	open_core(&f, true, false);
	connect_all(&f, (struct want){ .cds = "a=1", .eds = "a=x", .lds = "l=1", .rds = "r=1>a" });
	want(&f, (struct want){ .cds = "a=1 b=1", .eds = "a=x b=x", .lds = "l=1", .rds = "r=2>a,b" });
	assert_string_equal(shown(&f), "CDS +b=1");
	assert_string_equal(shown(&f), "EDS +b=x");
	ack(&f); /* EDS of b is taken although CDS is not acknowledged: another cluster of that response warms */
	assert_string_equal(shown(&f), "RDS +r=2");
	close_core(&f);
}

static void test_gate_expires(void **state)
{
	struct fixture f;
	(void)state;
	open_core(&f, true, false);
	connect_all(&f, (struct want){ .cds = "a=1", .eds = "a=x", .lds = "l=1", .rds = "r=1>a" });
	want(&f, (struct want){ .cds = "a=1 d=1", .eds = "a=x", .lds = "l=1", .rds = "r=2>a,d" });
	assert_string_equal(shown(&f), "CDS +d=1");
	assert_string_equal(shown(&f), "nothing");
	assert_int_equal(f.wake, f.now + COX_XDS_GATE_MS);
	f.now = f.wake;
	assert_string_equal(shown(&f), "RDS +r=2");
	assert_int_equal(f.gates, 1);
	close_core(&f);
}

static void test_cluster_leaves_after_routes_and_grace(void **state)
{
	struct fixture f;
	(void)state;
	open_core(&f, true, false);
	connect_all(&f, (struct want){ .cds = "a=1 b=1", .eds = "a=x b=x", .lds = "l=1", .rds = "r=1>a,b" });
	want(&f, (struct want){ .cds = "a=1", .eds = "a=x", .lds = "l=1", .rds = "r=2>a" });
	assert_string_equal(shown(&f), "RDS +r=2"); /* no removal of b, nor of its endpoints */
	f.now += 60;
	assert_string_equal(shown(&f), "nothing");
	ack(&f);
	assert_string_equal(shown(&f), "nothing");
	assert_int_equal(f.wake, f.now + COX_XDS_REMOVE_GRACE_MS);
	f.now = f.wake;
	assert_string_equal(shown(&f), "CDS -b");
	ack(&f);
	assert_string_equal(shown(&f), "nothing");
	close_core(&f);
}

/* A VirtualService that comes before its DestinationRule: nothing makes `b` yet. covers: b52 */
static void test_route_waits_for_a_cluster_that_is_not_there(void **state)
{
	struct fixture f;
	(void)state;
	open_core(&f, true, false);
	connect_all(&f, (struct want){ .cds = "a=1", .eds = "a=x", .lds = "l=1", .rds = "r=1>a" });
	want(&f, (struct want){ .cds = "a=1", .eds = "a=x", .lds = "l=1", .rds = "r=2>a,b" });
	assert_string_equal(shown(&f), "nothing");
	f.now += 3000;
	assert_string_equal(shown(&f), "nothing");
	want(&f, (struct want){ .cds = "a=1 b=1", .eds = "a=x b=x", .lds = "l=1", .rds = "r=2>a,b" });
	assert_string_equal(shown(&f), "CDS +b=1");
	uint64_t cds = f.r.nonce;
	assert_string_equal(shown(&f), "EDS +b=x");
	answer(&f, COX_TYPE_CDS, cds, NULL);
	assert_string_equal(shown(&f), "RDS +r=2");
	ack(&f);
	assert_int_equal(f.gates, 0);
	/* `c` never comes: the route goes out in the end, and holds up nothing after that */
	want(&f, (struct want){ .cds = "a=1 b=1", .eds = "a=x b=x", .lds = "l=1", .rds = "r=3>a,c" });
	assert_string_equal(shown(&f), "nothing");
	f.now = f.wake;
	assert_string_equal(shown(&f), "RDS +r=3");
	ack(&f);
	assert_int_equal(f.gates, 1);
	want(&f, (struct want){ .cds = "a=1 b=1", .eds = "a=x b=x", .lds = "l=1", .rds = "r=4>a,c" });
	assert_string_equal(shown(&f), "RDS +r=4");
	close_core(&f);
}

/* Who starts is not held up by a rule that names nothing. */
static void test_first_answer_does_not_wait_for_what_is_not_there(void **state)
{
	struct fixture f;
	(void)state;
	open_core(&f, true, false);
	connect_all(&f, (struct want){ .cds = "a=1", .eds = "a=x", .lds = "l=1>rds:r", .rds = "r=1>a,b" });
	assert_int_equal(f.gates, 0);
	close_core(&f);
}

/* A DestinationRule that loses a subset before its VirtualService does. covers: b52 */
static void test_cluster_stays_while_a_route_names_it(void **state)
{
	struct fixture f;
	(void)state;
	open_core(&f, true, false);
	connect_all(&f, (struct want){ .cds = "a=1 b=1", .eds = "a=x b=x", .lds = "l=1", .rds = "r=1>a,b" });
	want(&f, (struct want){ .cds = "a=1", .eds = "a=x", .lds = "l=1", .rds = "r=1>a,b" });
	int64_t first = f.now;
	assert_string_equal(shown(&f), "nothing");
	f.now = f.wake;
	assert_int_equal(f.now, first + COX_XDS_REMOVE_GRACE_MS);
	assert_string_equal(shown(&f), "nothing");
	assert_int_equal(f.wake, f.now + COX_XDS_REMOVE_PATIENCE_MS);
	/* the route changes: the usual way */
	f.now += 5000;
	want(&f, (struct want){ .cds = "a=1", .eds = "a=x", .lds = "l=1", .rds = "r=2>a" });
	assert_string_equal(shown(&f), "RDS +r=2");
	ack(&f);
	assert_string_equal(shown(&f), "nothing");
	assert_int_equal(f.wake, f.now + COX_XDS_REMOVE_GRACE_MS);
	f.now = f.wake;
	assert_string_equal(shown(&f), "CDS -b");
	ack(&f);
	/* the route does not change: not for ever */
	want(&f, (struct want){ .cds = "c=1", .eds = "c=x", .lds = "l=1", .rds = "r=2>a" });
	first = f.now;
	assert_string_equal(shown(&f), "CDS +c=1");
	ack(&f);
	assert_string_equal(shown(&f), "EDS +c=x");
	ack(&f);
	assert_string_equal(shown(&f), "nothing");
	f.now = first += COX_XDS_REMOVE_GRACE_MS;
	assert_string_equal(shown(&f), "nothing");
	f.now = first + COX_XDS_REMOVE_PATIENCE_MS - 1;
	assert_string_equal(shown(&f), "nothing");
	f.now = first + COX_XDS_REMOVE_PATIENCE_MS;
	assert_string_equal(shown(&f), "CDS -a");
	close_core(&f);
}

/* One that comes back and goes again is not made to pay for the time that others waited because of it. covers: b52 */
static void test_a_cluster_that_is_named_has_a_patience_of_its_own(void **state)
{
	struct fixture f;
	(void)state;
	open_core(&f, true, false);
	connect_all(&f, (struct want){ .cds = "a=1 b=1 c=1", .eds = "a=x b=x c=x", .lds = "l=1", .rds = "r=1>a,b" });
	want(&f, (struct want){ .cds = "a=1", .eds = "a=x", .lds = "l=1", .rds = "r=1>a,b" });
	assert_string_equal(shown(&f), "nothing");
	f.now = f.wake;
	assert_string_equal(shown(&f), "nothing"); /* b is named, so c waits, too */
	f.now += 50000;
	want(&f, (struct want){ .cds = "a=1 b=1", .eds = "a=x b=x", .lds = "l=1", .rds = "r=1>a,b" });
	assert_string_equal(shown(&f), "nothing");
	f.now += 1000;
	want(&f, (struct want){ .cds = "a=1", .eds = "a=x", .lds = "l=1", .rds = "r=1>a,b" });
	assert_string_equal(shown(&f), "nothing");
	f.now += COX_XDS_REMOVE_GRACE_MS;
	assert_string_equal(shown(&f), "nothing");
	assert_int_equal(f.wake, f.now + COX_XDS_REMOVE_PATIENCE_MS);
	close_core(&f);
}

static void test_reconnect_sends_the_difference(void **state)
{
	struct fixture f;
	char v1[33], v2[33];
	(void)state;
	open_core(&f, true, false);
	want(&f, (struct want){ .cds = "a=1 b=2 c=3" });
	cox_hash_to_hex(cox_hash128("1", 1), v1);
	cox_hash_to_hex(cox_hash128("old", 3), v2);
	struct cox_name_version have[] = { { COX_STR("a"), cox_str_of(v1) },
		                           { COX_STR("b"), cox_str_of(v2) },
		                           { COX_STR("gone"), cox_str_of(v1) },
		                           { COX_STR("c"), COX_STR("") } };
	request(&f, (struct cox_xds_request){ .type = COX_TYPE_CDS, .initial = have, .initial_n = COX_LEN(have) });
	assert_string_equal(shown(&f), "CDS +b=2 +c=3");
	ack(&f);
	assert_string_equal(shown(&f), "nothing");
	f.now = f.wake; /* what it holds in vain goes after the grace */
	assert_string_equal(shown(&f), "CDS -gone");
	close_core(&f);
}

/* facts, section 20: a stream that was lost while clusters warmed comes back with EDS first. */
static void test_eds_before_cds_is_answered_in_full(void **state)
{
	struct fixture f;
	char v[33];
	(void)state;
	open_core(&f, true, false);
	want(&f, (struct want){ .cds = "a=1", .eds = "a=x" });
	cox_hash_to_hex(cox_hash128("x", 1), v);
	struct cox_str names[] = { COX_STR("a") };
	struct cox_name_version have[] = { { COX_STR("a"), cox_str_of(v) } };
	request(&f,
	        (struct cox_xds_request){ .type = COX_TYPE_EDS, .subscribe = names, .subscribe_n = 1, .initial = have, .initial_n = 1 });
	assert_string_equal(shown(&f), "EDS +a=x");
	close_core(&f);
}

/* Found by the simulation: a cluster that changed while its proxy was away warms, whatever endpoints the proxy says it holds. */
static void test_clusters_sent_before_eds_is_asked_get_endpoints(void **state)
{
	struct fixture f;
	char v[33];
	(void)state;
	struct cox_str names[] = { COX_STR("a") };
	cox_hash_to_hex(cox_hash128("x", 1), v);
	struct cox_name_version have[] = { { COX_STR("a"), cox_str_of(v) } };
	for (int cds_first = 0; cds_first < 2; cds_first++) {
		open_core(&f, true, false);
		want(&f, (struct want){ .cds = "a=2", .eds = "a=x" });
		struct cox_name_version old[] = { { COX_STR("a"), COX_STR("00000000000000000000000000000001") } };
		request(&f, (struct cox_xds_request){ .type = COX_TYPE_CDS, .initial = old, .initial_n = 1 });
		if (cds_first)
			assert_string_equal(shown(&f), "CDS +a=2");
		request(&f, (struct cox_xds_request){
		                .type = COX_TYPE_EDS, .subscribe = names, .subscribe_n = 1, .initial = have, .initial_n = 1 });
		if (!cds_first)
			assert_string_equal(shown(&f), "CDS +a=2");
		assert_string_equal(shown(&f), "EDS +a=x");
		close_core(&f);
	}
}

/* Found by the simulation: what a proxy held in vain may be wanted again before the grace ends. */
static void test_a_cluster_that_came_back_is_not_removed(void **state)
{
	struct fixture f;
	(void)state;
	open_core(&f, true, false);
	want(&f, (struct want){ .cds = "a=1" });
	struct cox_name_version have[] = { { COX_STR("b"), COX_STR("") }, { COX_STR("gone"), COX_STR("") } };
	request(&f, (struct cox_xds_request){ .type = COX_TYPE_CDS, .initial = have, .initial_n = 2 });
	assert_string_equal(shown(&f), "CDS +a=1");
	ack(&f);
	want(&f, (struct want){ .cds = "a=1 b=1" });
	assert_string_equal(shown(&f), "CDS +b=1");
	ack(&f);
	assert_string_equal(shown(&f), "nothing");
	f.now = f.wake;
	assert_string_equal(shown(&f), "CDS -gone");
	close_core(&f);
}

/* Found by the simulation: an answer that names a new cluster waits for it, as every listener and route does. */
static void test_an_answer_waits_for_its_clusters(void **state)
{
	struct fixture f;
	(void)state;
	open_core(&f, true, false);
	want(&f, (struct want){ .cds = "a=1", .lds = "l=1", .rds = "r=1>a" });
	subscribe(&f, COX_TYPE_CDS, "");
	assert_true(next(&f));
	subscribe(&f, COX_TYPE_RDS, "r");
	assert_string_equal(shown(&f), "nothing");
	answer(&f, COX_TYPE_CDS, 1, NULL);
	assert_string_equal(shown(&f), "RDS +r=1");
	close_core(&f);
}

static void test_nack_names_the_offender(void **state)
{
	struct fixture f;
	(void)state;
	open_core(&f, true, false);
	want(&f, (struct want){ .cds = "a=1 bad=1 c=1" });
	subscribe(&f, COX_TYPE_CDS, "");
	assert_string_equal(shown(&f), "CDS +a=1 +bad=1 +c=1");
	answer(&f, COX_TYPE_CDS, f.r.nonce, "Error adding/updating cluster(s) bad: no such thing");
	assert_int_equal(f.rejected, 1);
	assert_string_equal(f.rejected_name, "bad");
	assert_string_equal(shown(&f), "CDS +a=1 +c=1"); /* all were unknown: the good ones go again */
	ack(&f);
	assert_string_equal(shown(&f), "nothing");
	want(&f, (struct want){ .cds = "a=1 bad=2 c=1" }); /* mended */
	assert_string_equal(shown(&f), "CDS +bad=2");
	close_core(&f);
}

static void test_nack_without_a_name_is_halved(void **state)
{
	struct fixture f;
	unsigned steps = 0;
	(void)state;
	open_core(&f, true, false);
	want(&f, (struct want){ .cds = "a=1 b=1 c=1 d=1 e=1 f=1 x=bad h=1" });
	subscribe(&f, COX_TYPE_CDS, "");
	while (next(&f) && steps < 20) {
		bool has_bad = false;
		for (unsigned p = 0; p < COX_XDS_PARTS; p++)
			for (size_t i = 0; f.r.steps[p] && i < f.r.steps[p]->changed_n; i++)
				has_bad |= cox_str_eq(f.r.steps[p]->changed[i]->name, COX_STR("x"));
		for (size_t i = 0; i < f.r.resource_n; i++)
			has_bad |= cox_str_eq(f.r.resources[i]->name, COX_STR("x"));
		answer(&f, COX_TYPE_CDS, f.r.nonce, has_bad ? "?" : NULL);
		steps++;
	}
	assert_int_equal(f.rejected, 1);
	assert_string_equal(f.rejected_name, "x");
	assert_in_range(steps, 3, 8);
	assert_int_equal(cox_xds_core_sent(f.core, COX_TYPE_CDS, 0)->n, 7);
	close_core(&f);
}

static void test_stale_nonce_is_counted(void **state)
{
	struct fixture f;
	(void)state;
	open_core(&f, true, false);
	connect_all(&f, (struct want){ .cds = "a=1", .eds = "a=x", .lds = "l=1", .rds = "r=1" });
	answer(&f, COX_TYPE_CDS, 999, NULL);
	answer(&f, COX_TYPE_CDS, 1, "late NACK");
	assert_int_equal(cox_xds_core_stale_nonces(f.core), 2);
	assert_int_equal(f.rejected, 0);
	assert_string_equal(shown(&f), "nothing");
	close_core(&f);
}

static void test_unknown_names_are_answered(void **state)
{
	struct fixture f;
	(void)state;
	open_core(&f, true, false);
	connect_all(&f, (struct want){ .cds = "a=1", .eds = "a=x", .lds = "l=1", .rds = "r=1" });
	subscribe(&f, COX_TYPE_RDS, "nowhere");
	assert_string_equal(shown(&f), "RDS ?nowhere");
	subscribe(&f, COX_TYPE_EDS, "none");
	assert_string_equal(shown(&f), "EDS -none");
	close_core(&f);
}

static void test_unsubscribe_and_again(void **state)
{
	struct fixture f;
	struct cox_str names[] = { COX_STR("a") };
	(void)state;
	open_core(&f, true, false);
	connect_all(&f, (struct want){ .cds = "a=1", .eds = "a=x", .lds = "l=1", .rds = "r=1" });
	request(&f, (struct cox_xds_request){ .type = COX_TYPE_EDS, .unsubscribe = names, .unsubscribe_n = 1 });
	want(&f, (struct want){ .cds = "a=1", .eds = "a=y", .lds = "l=1", .rds = "r=1" });
	assert_string_equal(shown(&f), "nothing");
	subscribe(&f, COX_TYPE_EDS, "a");
	assert_string_equal(shown(&f), "EDS +a=y");
	close_core(&f);
}

static void test_newest_wins(void **state)
{
	struct fixture f;
	char body[16], all[32];
	(void)state;
	open_core(&f, true, false);
	connect_all(&f, (struct want){ .cds = "a=1", .eds = "a=x", .lds = "l=1", .rds = "r=1" });
	for (int i = 0; i < 100; i++) {
		snprintf(body, sizeof(body), "a=%d", i);
		want(&f, (struct want){ .cds = "a=1", .eds = body, .lds = "l=1", .rds = "r=1" });
		if (!i)
			assert_string_equal(shown(&f), "EDS +a=0");
		else
			assert_string_equal(shown(&f), "nothing"); /* one response is on its way: a mark, no queue */
	}
	ack(&f);
	snprintf(all, sizeof(all), "EDS +%s", body);
	assert_string_equal(shown(&f), all);
	close_core(&f);
}

static void test_sotw_sends_everything_and_versions(void **state)
{
	struct fixture f;
	(void)state;
	open_core(&f, false, false);
	want(&f, (struct want){ .cds = "a=1 b=1", .eds = "a=x b=x" });
	subscribe(&f, COX_TYPE_CDS, "");
	assert_string_equal(shown(&f), "CDS +a=1 +b=1");
	struct cox_hash v = f.r.version;
	ack(&f);
	assert_string_equal(shown(&f), "nothing");
	want(&f, (struct want){ .cds = "a=2 b=1", .eds = "a=x b=x" });
	assert_string_equal(shown(&f), "CDS +a=2 +b=1");
	assert_false(cox_hash_eq(v, f.r.version));
	subscribe(&f, COX_TYPE_EDS, "a");
	assert_string_equal(shown(&f), "EDS +a=x");
	close_core(&f);
}

/* facts, section 20: virtual hosts go out after their route configuration is acknowledged, and again when it is sent again. */
static void test_vhds_follows_its_route(void **state)
{
	struct fixture f;
	(void)state;
	open_core(&f, true, true);
	connect_all(&f, (struct want){ .cds = "a=1", .eds = "a=x", .lds = "l=1", .rds = "r=1", .vhds = "r/h=1 r/i=1" });
	subscribe(&f, COX_TYPE_VHDS, "");
	assert_string_equal(shown(&f), "VHDS +r/h=1 +r/i=1");
	ack(&f);
	want(&f, (struct want){ .cds = "a=1", .eds = "a=x", .lds = "l=1", .rds = "r=1", .vhds = "r/h=2 r/i=1" });
	assert_string_equal(shown(&f), "VHDS +r/h=2"); /* the changed one alone */
	ack(&f);
	want(&f, (struct want){ .cds = "a=1", .eds = "a=x", .lds = "l=1", .rds = "r=2", .vhds = "r/h=2 r/i=1" });
	assert_string_equal(shown(&f), "RDS +r=2");
	assert_string_equal(shown(&f), "nothing");
	ack(&f);
	assert_string_equal(shown(&f), "VHDS +r/h=2 +r/i=1");
	close_core(&f);
}

/* With several route configurations as with one: a virtual host's own name is that of its resource (translate/route.c). */
static void test_vhds_removes_with_several_routes(void **state)
{
	struct fixture f;
	(void)state;
	open_core(&f, true, true);
	want(&f, (struct want){ .cds = "a=1", .lds = "l=1", .rds = "r=1 q=1", .vhds = "r/h=1 q/i=1" });
	subscribe(&f, COX_TYPE_CDS, "");
	assert_true(next(&f));
	ack(&f);
	subscribe(&f, COX_TYPE_RDS, "r q");
	assert_true(next(&f));
	ack(&f);
	subscribe(&f, COX_TYPE_VHDS, "");
	assert_true(next(&f));
	ack(&f);
	want(&f, (struct want){ .cds = "a=1", .lds = "l=1", .rds = "r=1 q=1", .vhds = "q/i=1" });
	assert_string_equal(shown(&f), "VHDS -r/h");
	close_core(&f);
}

/* A route configuration in doubt (rejected, its good version not sent again yet) keeps its virtual hosts: its old version serves on. */
static void test_vhds_stays_while_its_route_is_in_doubt(void **state)
{
	struct fixture f;
	(void)state;
	open_core(&f, true, true);
	connect_all(&f, (struct want){ .cds = "a=1", .eds = "a=x", .lds = "l=1", .rds = "r=1", .vhds = "r/h=1 r/i=1" });
	subscribe(&f, COX_TYPE_VHDS, "");
	assert_string_equal(shown(&f), "VHDS +r/h=1 +r/i=1");
	ack(&f);
	want(&f, (struct want){ .cds = "a=1", .eds = "a=x", .lds = "l=1", .rds = "r=bad", .vhds = "r/h=1 r/i=1" });
	assert_string_equal(shown(&f), "RDS +r=bad");
	answer(&f, COX_TYPE_RDS, f.r.nonce, "no");
	assert_int_equal(f.rejected, 1);
	assert_string_equal(shown(&f), "VHDS +r/h=1 +r/i=1"); /* as ever after its route was sent; none is removed */
	ack(&f);
	want(&f, (struct want){ .cds = "a=1", .eds = "a=x", .lds = "l=1", .rds = "r=1", .vhds = "r/h=1 r/i=1" });
	assert_string_equal(shown(&f), "RDS +r=1");
	ack(&f);
	assert_string_equal(shown(&f), "VHDS +r/h=1 +r/i=1");
	close_core(&f);
}

/* Found by the simulation: Envoy stops at the first fault of a VHDS response, so what that response removed is still there. */
static void test_a_rejected_response_removed_nothing(void **state)
{
	struct fixture f;
	(void)state;
	open_core(&f, true, true);
	connect_all(&f, (struct want){ .cds = "a=1", .eds = "a=x", .lds = "l=1", .rds = "r=1", .vhds = "r/h=1 r/i=1" });
	subscribe(&f, COX_TYPE_VHDS, "");
	assert_true(next(&f));
	ack(&f);
	want(&f, (struct want){ .cds = "a=1", .eds = "a=x", .lds = "l=1", .rds = "r=1", .vhds = "r/h=bad" });
	assert_string_equal(shown(&f), "VHDS +r/h=bad -r/i");
	answer(&f, COX_TYPE_VHDS, f.r.nonce, "name: \"h\": no"); /* Envoy says the virtual host's own name */
	assert_string_equal(f.rejected_name, "r/h");
	assert_string_equal(shown(&f), "VHDS -r/i");
	ack(&f);
	assert_string_equal(shown(&f), "nothing");
	close_core(&f);
}

/* A name that merely occurs in the message is not blamed. */
static void test_the_message_must_mean_the_name(void **state)
{
	static const struct {
		const char *message, *blamed;
	} cases[] = {
		{ "Error adding/updating listener(s) 80: no", "80" },
		{ "name: \"80\" Proto constraint validation failed", "80" },
		{ "error adding listener '443': no", "443" },
		{ "cannot bind 10.0.0.1:80 at 443", "" },
		{ "outbound_long_name is not right", "outbound_long_name" },
		{ "xoutbound_long_name is not right", "" },
		{ "\"80\" or \"443\"", "" }, /* one of the two: halved */
	};
	(void)state;
	for (size_t i = 0; i < COX_LEN(cases); i++) {
		struct fixture f;
		open_core(&f, true, false);
		want(&f, (struct want){ .lds = "80=1 443=1 outbound_long_name=1 c=1" });
		subscribe(&f, COX_TYPE_LDS, "");
		assert_true(next(&f));
		answer(&f, COX_TYPE_LDS, f.r.nonce, cases[i].message);
		assert_string_equal(f.rejected_name, cases[i].blamed);
		close_core(&f);
	}
}

static void test_two_offenders_are_both_found(void **state)
{
	struct fixture f;
	unsigned steps = 0;
	(void)state;
	open_core(&f, true, false);
	want(&f, (struct want){ .cds = "a=1 b=1 x=bad d=1 e=1 f=1 y=bad h=1" });
	subscribe(&f, COX_TYPE_CDS, "");
	for (; steps < 30; steps++) {
		const char *text = shown(&f);
		if (strcmp(text, "nothing") == 0)
			break;
		answer(&f, COX_TYPE_CDS, f.r.nonce, strstr(text, "=bad") ? "?" : NULL);
	}
	assert_int_equal(f.rejected, 2);
	assert_int_equal(cox_xds_core_sent(f.core, COX_TYPE_CDS, 0)->n, 6);
	assert_in_range(steps, 4, 16);
	close_core(&f);
}

/* A changed cluster warms; where its endpoints were rejected and taken out, "none" ends it. */
static void test_a_changed_cluster_without_endpoints_is_told_so(void **state)
{
	struct cox_str names[] = { COX_STR("a") };
	(void)state;
	for (int is_delta = 0; is_delta < 2; is_delta++) {
		struct fixture f;
		open_core(&f, is_delta, false);
		want(&f, (struct want){ .cds = "a=1", .eds = "a=bad" });
		subscribe(&f, COX_TYPE_CDS, "");
		assert_true(next(&f));
		ack(&f);
		subscribe(&f, COX_TYPE_EDS, "a");
		assert_string_equal(shown(&f), "EDS +a=bad");
		request(&f, (struct cox_xds_request){ .type = COX_TYPE_EDS,
		                                      .nonce = COX_STR("1"),
		                                      .has_error = true,
		                                      .error = COX_STR("no"),
		                                      .subscribe = names,
		                                      .subscribe_n = 1 });
		assert_int_equal(f.rejected, 1);
		want(&f, (struct want){ .cds = "a=2" });
		assert_string_equal(shown(&f), "CDS +a=2");
		assert_string_equal(shown(&f), is_delta ? "EDS -a" : "EDS ?a"); /* state-of-the-world has no removal: an empty assignment */
		close_core(&f);
	}
}

/* A state-of-the-world answer lists everything: to leave the rejected one out would remove its good old version. */
static void test_sotw_lists_the_last_good_version(void **state)
{
	struct fixture f;
	(void)state;
	open_core(&f, false, false);
	want(&f, (struct want){ .cds = "a=1 b=1" });
	subscribe(&f, COX_TYPE_CDS, "");
	assert_string_equal(shown(&f), "CDS +a=1 +b=1");
	ack(&f);
	want(&f, (struct want){ .cds = "a=bad b=2" });
	assert_string_equal(shown(&f), "CDS +a=bad +b=2");
	answer(&f, COX_TYPE_CDS, f.r.nonce, "cluster 'a': no");
	assert_string_equal(shown(&f), "CDS +a=1 +b=2");
	ack(&f);
	assert_string_equal(shown(&f), "nothing");
	close_core(&f);
}

/* Found by the simulation: a change of names carries the nonce that was acknowledged before; it is no stale request. */
static void test_sotw_names_are_added_after_the_acknowledgement(void **state)
{
	struct fixture f;
	struct cox_str names[] = { COX_STR("a"), COX_STR("b") };
	(void)state;
	open_core(&f, false, false);
	want(&f, (struct want){ .cds = "a=1 b=1", .eds = "a=x b=x" });
	subscribe(&f, COX_TYPE_EDS, "a");
	assert_string_equal(shown(&f), "EDS +a=x");
	struct cox_xds_request r = { .type = COX_TYPE_EDS, .nonce = COX_STR("1"), .subscribe = names, .subscribe_n = 1 };
	request(&f, r);
	uint64_t stale = cox_xds_core_stale_nonces(f.core);
	r.subscribe_n = 2;
	request(&f, r);
	assert_string_equal(shown(&f), "EDS +b=x");
	assert_int_equal(cox_xds_core_stale_nonces(f.core), stale);
	close_core(&f);
}

/* Found by the simulation: while clusters warm, an Envoy holds back its answers and then gives the last alone. */
static void test_sotw_answers_the_last_response_for_all(void **state)
{
	struct fixture f;
	(void)state;
	open_core(&f, false, false);
	want(&f, (struct want){ .cds = "a=1 b=1" });
	subscribe(&f, COX_TYPE_CDS, "");
	assert_true(next(&f));
	ack(&f);
	want(&f, (struct want){ .cds = "a=bad b=1" });
	assert_string_equal(shown(&f), "CDS +a=bad +b=1");
	f.now += COX_XDS_CDS_PATIENCE_MS;
	want(&f, (struct want){ .cds = "a=bad b=2" });
	assert_string_equal(shown(&f), "CDS +a=bad +b=2");
	answer(&f, COX_TYPE_CDS, f.r.nonce, "no");
	assert_int_equal(f.rejected, 0); /* not b, though it alone is new in the last response */
	for (int i = 0; i < 4 && next(&f); i++) {
		bool has_bad = false;
		for (size_t k = 0; k < f.r.resource_n; k++)
			has_bad |= f.r.resources[k]->size_bytes == 3;
		answer(&f, COX_TYPE_CDS, f.r.nonce, has_bad ? "no" : NULL);
	}
	assert_string_equal(f.rejected_name, "a");
	assert_int_equal(f.rejected, 1);
	close_core(&f);
}

static void test_sotw_a_rejection_may_name_more(void **state)
{
	struct fixture f;
	struct cox_str names[] = { COX_STR("r"), COX_STR("q") };
	(void)state;
	open_core(&f, false, false);
	want(&f, (struct want){ .rds = "r=bad q=1" });
	subscribe(&f, COX_TYPE_RDS, "r");
	assert_string_equal(shown(&f), "RDS +r=bad");
	request(&f, (struct cox_xds_request){ .type = COX_TYPE_RDS,
	                                      .nonce = COX_STR("1"),
	                                      .has_error = true,
	                                      .error = COX_STR("no"),
	                                      .subscribe = names,
	                                      .subscribe_n = 2 });
	assert_string_equal(shown(&f), "RDS +q=1");
	close_core(&f);
}

/* A Sidecar's ingress listener and an outbound one of the same name: the workload's own counts, whichever came first. */
static void test_the_workloads_own_listener_wins(void **state)
{
	(void)state;
	for (int is_delta = 0; is_delta < 2; is_delta++) {
		struct fixture f;
		open_core(&f, is_delta, false);
		want(&f, (struct want){ .lds = "l=out m=1", .own_lds = "l=own v=1" });
		subscribe(&f, COX_TYPE_LDS, "");
		assert_string_equal(shown(&f), "LDS +m=1 +l=own +v=1");
		ack(&f);
		want(&f, (struct want){ .lds = "l=out2 m=1", .own_lds = "l=own v=1" });
		assert_string_equal(shown(&f), "nothing"); /* the outbound one changed unseen */
		want(&f, (struct want){ .lds = "l=out2 m=1", .own_lds = "v=1" });
		assert_string_equal(shown(&f), is_delta ? "LDS +l=out2" : "LDS +l=out2 +m=1 +v=1"); /* never removed in between */
		ack(&f);
		want(&f, (struct want){ .lds = "l=out2 m=1", .own_lds = "l=own v=1" });
		assert_string_equal(shown(&f), is_delta ? "LDS +l=own" : "LDS +m=1 +l=own +v=1");
		ack(&f);
		want(&f, (struct want){ .lds = "m=1", .own_lds = "l=own v=1" });
		assert_string_equal(shown(&f), "nothing");
		want(&f, (struct want){ .lds = "m=1", .own_lds = "v=1" });
		assert_string_equal(shown(&f), is_delta ? "LDS -l" : "LDS +m=1 +v=1");
		ack(&f);
		assert_string_equal(shown(&f), "nothing");
		close_core(&f);
	}
}

static void test_who_rejects_for_ever_costs_little(void **state)
{
	struct fixture f;
	unsigned responses = 0;
	(void)state;
	open_core(&f, true, false);
	struct cox_buf b = { 0 };
	for (int i = 0; i < 30; i++)
		cox_buf_printf(&b, "%sc%d=1", i ? " " : "", i);
	want(&f, (struct want){ .cds = cox_buf_cstr(&b) });
	subscribe(&f, COX_TYPE_CDS, "");
	for (int i = 0; i < 100000; i++, f.now++) /* 100 s */
		if (next(&f)) {
			responses++;
			if (i % 7 == 0) { /* and what it should have changes all the time */
				cox_buf_clear(&b);
				for (int k = 0; k < 30; k++)
					cox_buf_printf(&b, "%sc%d=%d", k ? " " : "", k, i);
				want(&f, (struct want){ .cds = cox_buf_cstr(&b) });
			}
			answer(&f, COX_TYPE_CDS, f.r.nonce, "I take nothing");
		}
	assert_in_range(responses, 64, COX_XDS_NACK_BURST + 110);
	cox_buf_fini(&b);
	close_core(&f);
}

/* Found by the simulation: a removal that was called off must not take the grace of the next one. */
static void test_the_grace_is_every_removals_own(void **state)
{
	struct fixture f;
	(void)state;
	open_core(&f, true, false);
	connect_all(&f, (struct want){ .cds = "a=1 b=1", .eds = "a=x b=x", .lds = "l=1", .rds = "r=1" });
	want(&f, (struct want){ .cds = "a=1", .eds = "a=x", .lds = "l=1", .rds = "r=1" });
	assert_string_equal(shown(&f), "nothing");
	want(&f, (struct want){ .cds = "a=1 b=1", .eds = "a=x b=x", .lds = "l=1", .rds = "r=1" });
	assert_string_equal(shown(&f), "nothing");
	f.now += 600000;
	want(&f, (struct want){ .cds = "b=1", .eds = "b=x", .lds = "l=1", .rds = "r=1" });
	assert_string_equal(shown(&f), "nothing");
	assert_int_equal(f.wake, f.now + COX_XDS_REMOVE_GRACE_MS);
	f.now = f.wake;
	assert_string_equal(shown(&f), "CDS -a");
	close_core(&f);
}

/* An operator asks for everything again: in order, with gates; a type that waits for an answer is left alone. covers: g20 */
static void test_everything_again(void **state)
{
	struct fixture f;
	struct want w = { .cds = "a=1 b=1", .eds = "a=x b=x", .lds = "l=1", .rds = "r=1" };
	(void)state;
	open_core(&f, true, false);
	connect_all(&f, w);
	assert_string_equal(shown(&f), "nothing");
	assert_true(cox_xds_core_resend(f.core));
	assert_string_equal(shown(&f), "CDS +a=1 +b=1");
	uint64_t cds = f.r.nonce;
	assert_string_equal(shown(&f), "EDS +a=x +b=x");
	answer(&f, COX_TYPE_EDS, f.r.nonce, NULL);
	answer(&f, COX_TYPE_CDS, cds, NULL);
	assert_string_equal(shown(&f), "LDS +l=1");
	assert_string_equal(shown(&f), "RDS +r=1");
	assert_true(cox_xds_core_resend(f.core)); /* neither is acknowledged */
	assert_string_equal(shown(&f), "CDS +a=1 +b=1");
	assert_string_equal(shown(&f), "EDS +a=x +b=x");
	assert_string_equal(shown(&f), "nothing");
	close_core(&f);
}

static void test_too_many_names_are_refused(void **state)
{
	struct fixture f;
	struct cox_err err = { 0 };
	(void)state;
	open_core(&f, true, false);
	struct cox_str *names = cox_calloc(COX_XDS_NAMES_MAX + 1, sizeof(*names));
	for (size_t i = 0; i <= COX_XDS_NAMES_MAX; i++)
		names[i] = COX_STR("name");
	struct cox_xds_request r = { .type = COX_TYPE_EDS, .subscribe = names, .subscribe_n = COX_XDS_NAMES_MAX + 1 };
	assert_int_equal(cox_xds_core_request(f.core, &r, 0, &err), COX_ELIMIT);
	assert_non_null(strstr(err.text, "100000"));
	cox_free(names);
	close_core(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_waits_until_wanted),
		cmocka_unit_test(test_only_differences_are_sent),
		cmocka_unit_test(test_changed_cluster_gets_endpoints_again),
		cmocka_unit_test(test_next_cds_after_patience),
		cmocka_unit_test(test_next_bundle_does_not_wait),
		cmocka_unit_test(test_route_waits_for_its_cluster),
		cmocka_unit_test(test_route_goes_on_when_endpoints_are_acknowledged),
		cmocka_unit_test(test_gate_expires),
		cmocka_unit_test(test_route_waits_for_a_cluster_that_is_not_there),
		cmocka_unit_test(test_first_answer_does_not_wait_for_what_is_not_there),
		cmocka_unit_test(test_cluster_stays_while_a_route_names_it),
		cmocka_unit_test(test_a_cluster_that_is_named_has_a_patience_of_its_own),
		cmocka_unit_test(test_cluster_leaves_after_routes_and_grace),
		cmocka_unit_test(test_reconnect_sends_the_difference),
		cmocka_unit_test(test_eds_before_cds_is_answered_in_full),
		cmocka_unit_test(test_nack_names_the_offender),
		cmocka_unit_test(test_clusters_sent_before_eds_is_asked_get_endpoints),
		cmocka_unit_test(test_a_cluster_that_came_back_is_not_removed),
		cmocka_unit_test(test_an_answer_waits_for_its_clusters),
		cmocka_unit_test(test_nack_without_a_name_is_halved),
		cmocka_unit_test(test_stale_nonce_is_counted),
		cmocka_unit_test(test_unknown_names_are_answered),
		cmocka_unit_test(test_unsubscribe_and_again),
		cmocka_unit_test(test_newest_wins),
		cmocka_unit_test(test_sotw_sends_everything_and_versions),
		cmocka_unit_test(test_vhds_follows_its_route),
		cmocka_unit_test(test_vhds_removes_with_several_routes),
		cmocka_unit_test(test_vhds_stays_while_its_route_is_in_doubt),
		cmocka_unit_test(test_a_rejected_response_removed_nothing),
		cmocka_unit_test(test_the_message_must_mean_the_name),
		cmocka_unit_test(test_two_offenders_are_both_found),
		cmocka_unit_test(test_a_changed_cluster_without_endpoints_is_told_so),
		cmocka_unit_test(test_sotw_lists_the_last_good_version),
		cmocka_unit_test(test_sotw_names_are_added_after_the_acknowledgement),
		cmocka_unit_test(test_sotw_answers_the_last_response_for_all),
		cmocka_unit_test(test_sotw_a_rejection_may_name_more),
		cmocka_unit_test(test_the_workloads_own_listener_wins),
		cmocka_unit_test(test_who_rejects_for_ever_costs_little),
		cmocka_unit_test(test_the_grace_is_every_removals_own),
		cmocka_unit_test(test_too_many_names_are_refused),
		cmocka_unit_test(test_everything_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
