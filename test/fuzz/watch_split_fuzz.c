/* Any bytes, in any chunks, as a list and as a watch: the same objects come out, and what comes out is bounded. covers: g65 */
#include "base/hash.h"
#include "codec/json.h"
#include "kube/watch_split.h"
#include "model/object.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { MAX = 4096 };

struct seen {
	size_t items;
	struct cox_hash hash;
};

static void on_item(void *ctx, const struct cox_kube_item *i)
{
	struct seen *s = ctx;
	COX_ASSERT(i->text.n <= MAX);
	COX_ASSERT(!i->is_skipped || i->text.n == 0);
	s->items++;
	s->hash = cox_hash_combine(s->hash, cox_hash128(i->text.p, i->text.n));
	s->hash = cox_hash_combine(s->hash, cox_hash128(i->name.p, i->name.n));
}

static enum cox_rc run(bool is_watch, const struct cox_message *m, struct cox_str all, size_t chunk, struct seen *seen)
{
	struct cox_kube_split_spec spec = { .is_watch = is_watch, .message = m, .max_object_bytes = MAX, .on_item = on_item, .ctx = seen };
	struct cox_kube_split *s = cox_kube_split_new(&spec);
	struct cox_err err = { 0 };
	enum cox_rc rc = COX_OK;
	for (size_t at = 0; at < all.n && rc == COX_OK; at += chunk)
		rc = cox_kube_split_feed(s, cox_str_sub(all, at, chunk), &err);
	if (rc == COX_OK)
		rc = cox_kube_split_end(s, &err);
	COX_ASSERT((rc == COX_OK) == (err.text[0] == 0));
	cox_kube_split_free(&s);
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (n < 2)
		return 0;
	size_t chunk = data[0] % 61 + 1;
	const struct cox_message *m = data[1] & 2 ? cox_kind_info(data[1] & 4 ? COX_KIND_POD : COX_KIND_VIRTUAL_SERVICE)->message : NULL;
	struct cox_str all = cox_str_make(data + 2, n - 2);
	struct seen whole = { 0 }, parts = { 0 };
	enum cox_rc a = run(data[1] & 1, m, all, all.n + 1, &whole);
	enum cox_rc b = run(data[1] & 1, m, all, chunk, &parts);
	COX_ASSERT(a == b && whole.items == parts.items && cox_hash_eq(whole.hash, parts.hash));
	return 0;
}
