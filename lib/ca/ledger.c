#include "ca/ledger_priv.h"

#include "ca/spiffe.h"

#include <stdlib.h>

enum { FIELDS = 4 };

/* Fields of a line; false: another number of them. */
static bool split(struct cox_str line, struct cox_str fields[FIELDS])
{
	size_t n = 0;
	struct cox_str rest = line, part;
	while (cox_str_next(&rest, '\t', &part)) {
		if (n == FIELDS)
			return false;
		fields[n++] = part;
	}
	return n == FIELDS;
}

/* A tab or a line break in foreign text would make two fields of one. */
static void append_clean(struct cox_buf *out, struct cox_str text, size_t max)
{
	for (size_t i = 0; i < text.n && i < max; i++)
		cox_buf_append_char(out, (unsigned char)text.p[i] < ' ' ? ' ' : text.p[i]);
}

/* --- issued ------------------------------------------------------------------------------------------- */

void issued_line_write(struct cox_str serial, int64_t not_after_s, struct cox_str issuer, struct cox_str uri, struct cox_buf *out)
{
	append_clean(out, serial, COX_CERT_SERIAL_HEX_MAX);
	cox_buf_printf(out, "\t%lld\t", (long long)not_after_s);
	append_clean(out, issuer, 128);
	cox_buf_append_char(out, '\t');
	append_clean(out, uri, COX_LEDGER_URI_BYTES_MAX);
	cox_buf_append_char(out, '\n');
}

size_t issued_doc_parse(struct issued_doc *d)
{
	struct cox_str rest = cox_buf_str(&d->text), line, f[FIELDS];
	size_t skipped = 0;
	cox_vec_clear(&d->items);
	d->last_not_after_s = 0;
	while (rest.n && cox_str_next(&rest, '\n', &line)) {
		struct issued i = { 0 };
		if (!line.n)
			continue;
		if (!split(line, f) || !f[0].n || cox_str_to_i64(f[1], &i.not_after_s) != COX_OK) {
			skipped++;
			continue;
		}
		i.serial = f[0];
		i.issuer = f[2];
		i.uri = f[3];
		cox_vec_push(&d->items, i);
		if (i.not_after_s > d->last_not_after_s)
			d->last_not_after_s = i.not_after_s;
	}
	return skipped;
}

void issued_doc_free(struct issued_doc *d)
{
	cox_free(d->name);
	cox_buf_fini(&d->text);
	cox_vec_fini(&d->items);
	cox_free(d);
}

/* --- revoked ------------------------------------------------------------------------------------------- */

static bool kind_of(struct cox_str word, enum block_kind *kind)
{
	bool is_identity = cox_str_eq(word, COX_STR("identity"));
	*kind = is_identity ? BLOCK_IDENTITY : BLOCK_NAMESPACE;
	return is_identity || cox_str_eq(word, COX_STR("namespace"));
}

void revoked_doc_parse(struct revoked_doc *d, struct cox_str text)
{
	struct cox_str rest = text, line, f[FIELDS];
	enum block_kind kind;
	revoked_doc_fini(d);
	while (rest.n && cox_str_next(&rest, '\n', &line)) {
		int64_t third, second;
		if (!split(line, f) || !f[0].n || cox_str_to_i64(f[2], &third) != COX_OK)
			continue;
		if (kind_of(f[0], &kind))
			revoked_doc_block(d, kind, f[1], third, f[3]);
		else if (cox_str_to_i64(f[1], &second) == COX_OK)
			revoked_doc_add(d, f[0], second, third, f[3]);
	}
}

void revoked_doc_fini(struct revoked_doc *d)
{
	cox_vec_fini(&d->serials);
	cox_vec_fini(&d->blocks);
	cox_arena_fini(&d->arena);
}

static int cmp_revoked(const void *a, const void *b)
{
	return cox_str_cmp(((const struct revoked *)a)->serial, ((const struct revoked *)b)->serial);
}

static int cmp_block(const void *a, const void *b)
{
	const struct block *x = a, *y = b;
	return x->kind != y->kind ? (int)x->kind - (int)y->kind : cox_str_cmp(x->value, y->value);
}

void revoked_doc_write(struct revoked_doc *d, int64_t now_s, struct cox_buf *out)
{
	if (d->blocks.n)
		qsort(d->blocks.p, d->blocks.n, sizeof(*d->blocks.p), cmp_block);
	for (size_t i = 0; i < d->blocks.n; i++) {
		const struct block *b = &d->blocks.p[i];
		cox_buf_printf(out, "%s\t%.*s\t%lld\t%.*s\n", b->kind == BLOCK_IDENTITY ? "identity" : "namespace", COX_FMT(b->value),
		               (long long)b->since_s, COX_FMT(b->reason));
	}
	for (size_t i = 0; i < d->serials.n; i++) {
		const struct revoked *r = &d->serials.p[i];
		if (r->not_after_s >= now_s)
			cox_buf_printf(out, "%.*s\t%lld\t%lld\t%.*s\n", COX_FMT(r->serial), (long long)r->not_after_s,
			               (long long)r->revoked_s, COX_FMT(r->reason));
	}
}

static size_t place_of(const struct revoked_doc *d, struct cox_str serial)
{
	size_t low = 0, high = d->serials.n;
	while (low < high) {
		size_t mid = (low + high) / 2;
		if (cox_str_cmp(d->serials.p[mid].serial, serial) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

const struct revoked *revoked_doc_find(const struct revoked_doc *d, struct cox_str serial)
{
	struct revoked probe = { .serial = serial };
	return d->serials.n ? bsearch(&probe, d->serials.p, d->serials.n, sizeof(probe), cmp_revoked) : NULL;
}

static bool is_block_of(const struct block *b, struct cox_str uri, const struct cox_spiffe_id *id)
{
	return b->kind == BLOCK_IDENTITY ? cox_str_eq(b->value, uri) : id && cox_str_eq(b->value, id->ns);
}

const struct block *revoked_doc_blocks(const struct revoked_doc *d, struct cox_str uri)
{
	struct cox_spiffe_id id;
	if (!d->blocks.n)
		return NULL;
	bool is_id = cox_spiffe_parse(uri, &id, NULL) == COX_OK;
	for (size_t i = 0; i < d->blocks.n; i++)
		if (is_block_of(&d->blocks.p[i], uri, is_id ? &id : NULL))
			return &d->blocks.p[i];
	return NULL;
}

static struct cox_str clean_copy(struct cox_arena *arena, struct cox_str text, size_t max)
{
	struct cox_buf b = { 0 };
	append_clean(&b, text, max);
	struct cox_str copy = cox_arena_str(arena, cox_buf_str(&b));
	cox_buf_fini(&b);
	return copy;
}

bool revoked_doc_add(struct revoked_doc *d, struct cox_str serial, int64_t not_after_s, int64_t now_s, struct cox_str reason)
{
	size_t at = place_of(d, serial);
	if (at < d->serials.n && cox_str_eq(d->serials.p[at].serial, serial))
		return false;
	cox_vec_add(&d->serials);
	memmove(&d->serials.p[at + 1], &d->serials.p[at], (d->serials.n - 1 - at) * sizeof(*d->serials.p));
	d->serials.p[at] = (struct revoked){ clean_copy(&d->arena, serial, COX_CERT_SERIAL_HEX_MAX),
		                             clean_copy(&d->arena, reason, COX_LEDGER_REASON_BYTES_MAX), not_after_s, now_s };
	return true;
}

bool revoked_doc_remove(struct revoked_doc *d, struct cox_str serial)
{
	size_t at = place_of(d, serial);
	if (at == d->serials.n || !cox_str_eq(d->serials.p[at].serial, serial))
		return false;
	cox_vec_remove(&d->serials, at);
	return true;
}

bool revoked_doc_block(struct revoked_doc *d, enum block_kind kind, struct cox_str value, int64_t now_s, struct cox_str reason)
{
	for (size_t i = 0; i < d->blocks.n; i++)
		if (d->blocks.p[i].kind == kind && cox_str_eq(d->blocks.p[i].value, value))
			return false;
	cox_vec_push(&d->blocks, ((struct block){ kind, clean_copy(&d->arena, value, COX_LEDGER_URI_BYTES_MAX),
	                                          clean_copy(&d->arena, reason, COX_LEDGER_REASON_BYTES_MAX), now_s }));
	return true;
}

bool revoked_doc_unblock(struct revoked_doc *d, enum block_kind kind, struct cox_str value)
{
	for (size_t i = 0; i < d->blocks.n; i++)
		if (d->blocks.p[i].kind == kind && cox_str_eq(d->blocks.p[i].value, value)) {
			cox_vec_remove(&d->blocks, i);
			return true;
		}
	return false;
}

enum cox_rc ledger_serial_normalize(struct cox_str text, char out[COX_CERT_SERIAL_HEX_MAX])
{
	size_t n = 0;
	if (cox_str_has_prefix(text, COX_STR("0x")) || cox_str_has_prefix(text, COX_STR("0X")))
		text = cox_str_sub(text, 2, text.n);
	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];
		if (c == ':')
			continue;
		if (c >= 'A' && c <= 'F')
			c = (char)(c - 'A' + 'a');
		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')) || n == COX_CERT_SERIAL_HEX_MAX - 1)
			return COX_EINVAL;
		if (n || c != '0')
			out[n++] = c;
	}
	out[n] = '\0';
	return n ? COX_OK : COX_EINVAL;
}
