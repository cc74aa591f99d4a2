/* ca-driver - an authority on a real kube-apiserver or a directory; says each bundle and fault as a line of JSON.
 * usage: ca-driver --kubeconfig FILE | --dir DIR   [--ns NS] [--cacerts DIR] [--replica NAME]
 * Commands on stdin, a line each: rotate | done | revoke SERIAL | sign URI TTL | many N | quit */
#include "ca/authority.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/json.h"
#include "loop/poll.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct driver {
	struct cox_loop *loop;
	struct cox_ca *ca;
	struct cox_buf in, spki;
	struct cox_poll *poll;
	uint64_t generation;
	int64_t started_ns;
	int wanted, signed_n, failed;
};

static void say(struct cox_json *o)
{
	struct cox_buf out = { 0 };
	cox_json_write(&out, o, 0, false);
	cox_buf_append_char(&out, '\n');
	if (write(STDOUT_FILENO, out.p, out.n) < 0)
		exit(1);
	cox_buf_fini(&out);
}
static void set(struct cox_arena *a, struct cox_json *o, const char *key, struct cox_str v)
{
	cox_json_set(a, o, cox_str_of(key), cox_json_new_str(a, v));
}

static void on_bundle(void *ctx, const struct cox_ca_bundle *b)
{
	struct driver *d = ctx;
	struct cox_arena a = { 0 };
	struct cox_json *o = cox_json_new_object(&a), *roots = cox_json_new_array(&a);
	d->generation = b->generation;
	set(&a, o, "event", COX_STR("bundle"));
	set(&a, o, "phase", cox_str_of(cox_ca_phase_name(b->phase)));
	set(&a, o, "domain", b->trust_domain);
	set(&a, o, "issuer", b->issuer_key_id);
	set(&a, o, "chain", b->chain_pem);
	set(&a, o, "crl", b->crl_pem);
	cox_json_set(&a, o, COX_STR("plugged"), cox_json_new_bool(&a, b->is_plugged_in));
	for (size_t i = 0; i < b->root_n; i++)
		cox_json_push(&a, roots, cox_json_new_str(&a, b->roots_pem[i]));
	cox_json_set(&a, o, COX_STR("roots"), roots);
	say(o);
	cox_arena_fini(&a);
}
static void say_text(const char *event, const char *text)
{
	struct cox_arena a = { 0 };
	struct cox_json *o = cox_json_new_object(&a);
	set(&a, o, "event", cox_str_of(event));
	set(&a, o, "text", cox_str_of(text));
	say(o);
	cox_arena_fini(&a);
}
static void on_fault(void *ctx, const struct cox_err *err)
{
	(void)ctx;
	say_text("fault", err->text);
}
static void on_lost(void *ctx, const char *which)
{
	(void)ctx;
	say_text("lost", which);
	_exit(1);
}

static void on_signed(void *ctx, enum cox_rc rc, const struct cox_ca_answer *answer, const struct cox_err *err)
{
	struct cox_arena a = { 0 };
	struct cox_json *o = cox_json_new_object(&a);
	(void)ctx;
	set(&a, o, "event", COX_STR("signed"));
	set(&a, o, "rc", cox_str_of(rc == COX_OK ? "OK" : cox_rc_name(rc)));
	set(&a, o, "text", cox_str_of(err ? err->text : ""));
	if (answer) {
		set(&a, o, "cert", answer->cert_pem);
		set(&a, o, "chain", answer->bundle->chain_pem);
		set(&a, o, "serial", cox_str_of(answer->info.serial));
	}
	say(o);
	cox_arena_fini(&a);
}
static void on_one_of_many(void *ctx, enum cox_rc rc, const struct cox_ca_answer *answer, const struct cox_err *err);
static void ask(struct driver *d, struct cox_str uri, int64_t ttl_s, bool is_one)
{
	cox_ca_sign(d->ca, d->loop,
	            &(struct cox_ca_request){
	                .spki_der = cox_buf_str(&d->spki), .uris = &uri, .uri_n = 1, .ttl_s = ttl_s, .caller = COX_STR("driver") },
	            is_one ? on_signed : on_one_of_many, d);
}
/* Keeps a hundred in flight. */
static void on_one_of_many(void *ctx, enum cox_rc rc, const struct cox_ca_answer *answer, const struct cox_err *err)
{
	struct driver *d = ctx;
	struct cox_arena a = { 0 };
	(void)answer, (void)err;
	d->signed_n++;
	d->failed += rc != COX_OK;
	if (rc == COX_ECANCELED)
		return;
	if (d->signed_n + 100 <= d->wanted)
		ask(d, COX_STR("spiffe://cluster.local/ns/bench/sa/bench"), 3600, false);
	if (d->signed_n < d->wanted)
		return;
	struct cox_json *o = cox_json_new_object(&a);
	set(&a, o, "event", COX_STR("many"));
	cox_json_set(&a, o, COX_STR("seconds"), cox_json_new_f64(&a, (double)(cox_clock_mono_ns() - d->started_ns) / 1e9));
	cox_json_set(&a, o, COX_STR("failed"), cox_json_new_i64(&a, d->failed));
	say(o);
	cox_arena_fini(&a);
}

static void on_line(struct driver *d, struct cox_str line)
{
	struct cox_str word, uri = { 0 };
	struct cox_err err = { 0 };
	int64_t ttl;
	cox_str_next(&line, ' ', &word);
	if (cox_str_eq(word, COX_STR("rotate"))) {
		if (cox_ca_rotate_root(d->ca, &err) != COX_OK)
			say_text("refused", err.text);
	} else if (cox_str_eq(word, COX_STR("done"))) {
		cox_ca_phase_done(d->ca, d->generation);
	} else if (cox_str_eq(word, COX_STR("revoke"))) {
		struct cox_ca_revoked r = { .revoked_s = cox_clock_wall_ms() / 1000 };
		cox_str_to_cstr(line, r.serial, sizeof(r.serial));
		cox_ca_set_revoked(d->ca, &r, 1);
	} else if (cox_str_eq(word, COX_STR("sign"))) {
		if (cox_str_next(&line, ' ', &uri) && cox_str_to_i64(line, &ttl) == COX_OK)
			ask(d, uri, ttl, true);
	} else if (cox_str_eq(word, COX_STR("many")) && cox_str_to_i64(line, &ttl) == COX_OK) {
		d->wanted = (int)ttl;
		d->signed_n = d->failed = 0;
		d->started_ns = cox_clock_mono_ns();
		for (int i = 0; i < 100; i++)
			ask(d, COX_STR("spiffe://cluster.local/ns/bench/sa/bench"), 3600, false);
	} else if (cox_str_eq(word, COX_STR("quit"))) {
		cox_loop_stop(d->loop);
	}
}

static void on_input(void *ctx, int events)
{
	struct driver *d = ctx;
	char chunk[4096];
	ssize_t n = read(STDIN_FILENO, chunk, sizeof(chunk));
	(void)events;
	if (n <= 0) {
		cox_poll_want(d->poll, 0);
		cox_loop_stop(d->loop);
		return;
	}
	cox_buf_append(&d->in, chunk, (size_t)n);
	for (char *end; d->in.n && (end = memchr(d->in.p, '\n', d->in.n));) {
		on_line(d, cox_str_make(d->in.p, (size_t)(end - d->in.p)));
		cox_buf_consume(&d->in, (size_t)(end - d->in.p) + 1);
	}
}

static void make_request(struct driver *d)
{
	struct cox_buf key = { 0 }, csr = { 0 };
	if (cox_key_make(COX_KEY_P256, false, &key, NULL) != COX_OK || cox_csr_make(cox_buf_str(&key), COX_STR(""), &csr, NULL) != COX_OK ||
	    cox_csr_check(cox_buf_str(&csr), &d->spki, NULL) != COX_OK)
		exit(1);
	cox_wipe(&key);
	cox_buf_fini(&key);
	cox_buf_fini(&csr);
}

int main(int argc, char **argv)
{
	struct driver d = { 0 };
	struct cox_ca_processes *processes;
	struct cox_err err = { 0 };
	struct cox_ca_spec spec = { .trust_domain = COX_STR("cluster.local"),
		                    .ns = COX_STR("istio-system"),
		                    .root_ttl_s = 3650 * 86400LL,
		                    .default_ttl_s = 86400,
		                    .max_ttl_s = 90 * 86400,
		                    .backdate_s = 120,
		                    .root_grace = 0.2,
		                    .signatures_per_s = 1000000 };
	for (int i = 1; i + 1 < argc; i += 2) {
		const char *name = argv[i], *value = argv[i + 1];
		if (!strcmp(name, "--kubeconfig"))
			spec.store = COX_CA_STORE_KUBE, spec.kubeconfig = value;
		else if (!strcmp(name, "--dir"))
			spec.store = COX_CA_STORE_DIR, spec.state_dir = value;
		else if (!strcmp(name, "--ns"))
			spec.ns = cox_str_of(value);
		else if (!strcmp(name, "--cacerts"))
			spec.root_ca_dir = value;
		else if (!strcmp(name, "--replica"))
			spec.replica = cox_str_of(value);
		else if (!strcmp(name, "--key") && !cox_key_type_find(cox_str_of(value), &spec.key_type))
			return 2;
		else if (!strcmp(name, "--log") && cox_log_set_levels(cox_str_of(value)) != COX_OK)
			return 2;
	}
	if (cox_ca_fork(&spec, &processes, &err) != COX_OK) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	make_request(&d);
	d.loop = cox_loop_new("driver");
	struct cox_ca_cb cb = { on_bundle, on_fault, on_lost, &d };
	if (cox_ca_open(d.loop, &processes, &cb, &d.ca, &err) != COX_OK ||
	    cox_poll_open(d.loop, STDIN_FILENO, on_input, &d, &d.poll) != COX_OK)
		return 1;
	cox_poll_want(d.poll, COX_POLL_READ);
	cox_loop_run(d.loop);
	cox_poll_close(&d.poll);
	cox_ca_close(&d.ca);
	cox_loop_free(&d.loop);
	cox_buf_fini(&d.in);
	cox_buf_fini(&d.spki);
	return 0;
}
