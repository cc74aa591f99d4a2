#include "xds/debug.h"

#include "base/hash.h"
#include "ca/spiffe.h"
#include "xds/encode.h"
#include "xds/server_priv.h"

#include <stdio.h>

enum { NAMES_MAX = 16, NONCE_BYTES = 48 };

static const struct cox_str debug_type = COX_STR_INIT("istio.io/debug");

struct cox_xds_question {
	struct ads_stream *stream; /* NULL: gone, or it has asked something else since */
	char *type_url;
	char nonce[NONCE_BYTES];
	cox_pieces pieces; /* the answer, while the stream does not take it */
	bool is_answered;
};

bool debug_is_question(struct cox_str type_url) { return cox_str_has_prefix(type_url, debug_type); }

static void question_free(struct cox_xds_question *q)
{
	for (size_t i = 0; i < q->pieces.n; i++)
		if (q->pieces.p[i].release)
			q->pieces.p[i].release(q->pieces.p[i].ctx);
	cox_vec_fini(&q->pieces);
	cox_free(q->type_url);
	cox_free(q);
}

/* Who answers may still hold it: then it goes with the answer. */
static void drop_question(struct ads_stream *a)
{
	struct cox_xds_question *q = a->question;
	a->question = NULL;
	if (!q)
		return;
	q->stream = NULL;
	if (q->is_answered)
		question_free(q);
}

void debug_end(struct ads_stream *a)
{
	drop_question(a);
	cox_buf_fini(&a->first_node);
}

/* The nonce says which question was answered: a request that has the nonce of its own question acknowledges, in whatever order they come.
 */
static void make_nonce(struct cox_str type_url, const struct cox_xds_request *r, char out[NONCE_BYTES])
{
	struct cox_hash h = cox_hash128(type_url.p, type_url.n);
	for (size_t i = 0; i < r->subscribe_n; i++)
		h = cox_hash_combine(h, cox_hash128(r->subscribe[i].p, r->subscribe[i].n));
	char hex[33];
	cox_hash_to_hex(h, hex);
	snprintf(out, NONCE_BYTES, "debug-%s", hex);
}

static struct cox_xds_asker asker_of(const struct ads_stream *a)
{
	struct cox_xds_asker who = { .is_loopback =
		                         cox_grpc_stream_tag(a->grpc) == COX_XDS_PLAINTEXT && cox_grpc_stream_peer_is_loopback(a->grpc) };
	struct cox_spiffe_id id;
	if (a->auth.who && cox_spiffe_parse(a->auth.who->uris[0], &id, NULL) == COX_OK) {
		who.is_verified = true;
		who.identity = a->auth.who->uris[0];
		who.ns = id.ns;
	}
	return who;
}

void debug_ask(struct ads_stream *a, struct cox_str type_url, const struct cox_xds_request *r)
{
	const struct cox_xds_debug *d = &a->home->debug;
	char nonce[NONCE_BYTES];
	make_nonce(type_url, r, nonce);
	bool is_named = r->subscribe_n || !a->is_delta; /* a delta acknowledgement names nothing */
	if (cox_str_eq_cstr(r->nonce, nonce) || (!is_named && cox_str_has_prefix(r->nonce, COX_STR("debug-"))) || r->has_error ||
	    (r->unsubscribe_n && !r->subscribe_n))
		return;
	drop_question(a); /* the newest counts */
	struct cox_xds_question *q = COX_NEW(struct cox_xds_question);
	q->stream = a;
	q->type_url = cox_str_dup_cstr(type_url);
	memcpy(q->nonce, nonce, sizeof(nonce));
	a->question = q;
	if (!d->ask) {
		cox_xds_question_answer_take(q, COX_EAGAIN, COX_STR("debug pages are not there yet"), NULL, 0);
		return;
	}
	struct cox_xds_asked asked = { .loop = a->home->loop,
		                       .type_url = type_url,
		                       .names = r->subscribe,
		                       .name_n = cox_min_size(r->subscribe_n, NAMES_MAX),
		                       .who = asker_of(a) };
	d->ask(d->ctx, q, &asked);
}

void debug_flush(struct ads_stream *a)
{
	struct cox_xds_question *q = a->question;
	if (!q || !q->is_answered || a->is_closing || !cox_grpc_is_writable(a->grpc))
		return;
	enum cox_rc rc = cox_grpc_send(a->grpc, q->pieces.p, q->pieces.n);
	cox_vec_clear(&q->pieces); /* taken, also on failure */
	drop_question(a);
	if (rc != COX_OK) {
		a->is_closing = true;
		cox_grpc_finish(a->grpc, rc, COX_STR("the answer could not be sent"));
	}
}

void cox_xds_question_answer_take(struct cox_xds_question *q, enum cox_rc rc, struct cox_str text, struct cox_xds_item *items, size_t n)
{
	struct ads_stream *a = q->stream;
	struct cox_xds_item said = { .name = cox_str_of(q->type_url), .type_url = debug_type };
	q->is_answered = true;
	if (!a || a->is_closing || (rc != COX_OK && !a->proxy)) {
		for (size_t i = 0; rc == COX_OK && i < n; i++)
			cox_buf_fini(&items[i].value);
		if (a && !a->is_closing)
			stream_refuse(a, rc, "debug", text);
		else if (!a)
			question_free(q);
		return;
	}
	if (rc != COX_OK) {
		cox_buf_append_str(&said.value, text);
		items = &said;
		n = 1;
	}
	cox_xds_encode_items_take(cox_str_of(q->type_url), cox_str_of(q->nonce), items, n, a->is_delta,
	                          cox_str_of(a->home->server->identifier), &q->pieces);
	debug_flush(a);
}

/* --- who answers -------------------------------------------------------------------------------------------- */

struct set_call {
	struct stream_loop *loop;
	const struct cox_xds_debug *debug;
};
static void set_on_loop(void *arg)
{
	struct set_call *c = arg;
	c->loop->debug = *c->debug;
}

void cox_xds_server_set_debug(struct cox_xds_server *s, const struct cox_xds_debug *debug)
{
	for (size_t i = 0; i < s->loop_count; i++)
		cox_loop_call(s->loop_list[i], set_on_loop, &(struct set_call){ &s->loops[i], debug });
}
