#include "agent/dns_table.h"

#include "base/map.h"
#include "codec/json.h"
#include "codec/pb_read.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

/* Field numbers of istio.networking.nds.v1.NameTable, its map entry, and NameInfo. */
enum { TABLE = 1, KEY = 1, VALUE = 2, IPS = 1, REGISTRY = 2, SHORTNAME = 3, NAMESPACE = 4 };

struct slot {
	uint32_t hash, host_at, info_at; /* places in the text; host_at 0: empty, since a key never stands at 0 */
	uint32_t info_n;
	uint16_t host_n;
};
struct cox_dns_table {
	size_t slot_count, count; /* slot_count is a power of two */
	struct slot *slots;
	size_t text_n;
	char text[];
};

static struct cox_str host_of(const struct cox_dns_table *t, const struct slot *s) { return cox_str_make(t->text + s->host_at, s->host_n); }
static struct cox_str info_of(const struct cox_dns_table *t, const struct slot *s) { return cox_str_make(t->text + s->info_at, s->info_n); }

static struct slot *slot_for(const struct cox_dns_table *t, struct cox_str host, uint32_t hash)
{
	size_t i = hash & (t->slot_count - 1);
	while (t->slots[i].host_at && (t->slots[i].hash != hash || !cox_str_eq(host_of(t, &t->slots[i]), host)))
		i = (i + 1) & (t->slot_count - 1);
	return &t->slots[i];
}

/* --- reading --------------------------------------------------------------------------------- */

static enum cox_rc check_info(struct cox_str bytes, struct cox_err *err)
{
	struct cox_pb_reader r = cox_pb_reader(bytes);
	struct cox_pb_field f;
	while (cox_pb_next(&r, &f))
		if (f.number <= NAMESPACE)
			(void)cox_pb_as_str(&r, &f);
	return cox_pb_finish(&r, err);
}

/* Questions are compared in lower case; the table is ours, so it is made so in place. */
static void lower(struct cox_str s)
{
	char *p = (char *)s.p;
	for (size_t i = 0; i < s.n; i++)
		p[i] = p[i] >= 'A' && p[i] <= 'Z' ? (char)(p[i] + 32) : p[i];
}

static enum cox_rc add_entry(struct cox_dns_table *t, struct cox_str entry, struct cox_err *err)
{
	struct cox_pb_reader r = cox_pb_reader(entry);
	struct cox_pb_field f;
	struct cox_str host = { 0 }, info = { 0 };
	while (cox_pb_next(&r, &f))
		if (f.number == KEY)
			host = cox_pb_as_str(&r, &f);
		else if (f.number == VALUE)
			info = cox_pb_as_bytes(&r, &f);
	COX_TRY(cox_pb_finish(&r, err));
	COX_TRY(check_info(info, err));
	if (host.n == 0 || host.n > 255)
		return COX_OK; /* no name that anybody can ask for */
	lower(host);
	uint32_t hash = cox_str_hash(host);
	struct slot *s = slot_for(t, host, hash);
	t->count += s->host_at == 0;
	*s = (struct slot){ hash, (uint32_t)(host.p - t->text), info.n ? (uint32_t)(info.p - t->text) : 0, (uint32_t)info.n,
		            (uint16_t)host.n };
	return COX_OK;
}

static enum cox_rc count_entries(struct cox_str bytes, size_t *n, struct cox_err *err)
{
	struct cox_pb_reader r = cox_pb_reader(bytes);
	struct cox_pb_field f;
	while (cox_pb_next(&r, &f))
		*n += f.number == TABLE;
	return cox_pb_finish(&r, err);
}

static enum cox_rc add_entries(struct cox_dns_table *t, struct cox_err *err)
{
	struct cox_pb_reader r = cox_pb_reader(cox_str_make(t->text, t->text_n));
	struct cox_pb_field f;
	while (cox_pb_next(&r, &f))
		if (f.number == TABLE) {
			struct cox_str entry = cox_pb_as_bytes(&r, &f);
			if (r.rc == COX_OK)
				COX_TRY(add_entry(t, entry, err));
		}
	return cox_pb_finish(&r, err);
}

enum cox_rc cox_dns_table_new(struct cox_str bytes, struct cox_dns_table **out, struct cox_err *err)
{
	size_t n = 0;
	if (bytes.n > COX_DNS_TABLE_BYTES_MAX)
		return cox_err_set(err, COX_ELIMIT, NULL, "the name table has %zu bytes, at most %d are taken", bytes.n,
		                   COX_DNS_TABLE_BYTES_MAX);
	COX_TRY(count_entries(bytes, &n, err));
	struct cox_dns_table *t = cox_zalloc(sizeof(*t) + bytes.n);
	t->text_n = bytes.n;
	if (bytes.n)
		memcpy(t->text, bytes.p, bytes.n);
	for (t->slot_count = 8; t->slot_count < n + n / 3;)
		t->slot_count *= 2;
	t->slots = cox_calloc(t->slot_count, sizeof(*t->slots));
	enum cox_rc rc = add_entries(t, err);
	if (rc != COX_OK)
		cox_dns_table_free(&t);
	else
		*out = t;
	return rc;
}

void cox_dns_table_free(struct cox_dns_table **tp)
{
	struct cox_dns_table *t = COX_MOVE(*tp);
	if (t == NULL)
		return;
	cox_free(t->slots);
	cox_free(t);
}

size_t cox_dns_table_count(const struct cox_dns_table *t) { return t->count; }

/* --- finding --------------------------------------------------------------------------------- */

static const struct slot *find_host(const struct cox_dns_table *t, struct cox_str host)
{
	const struct slot *s = slot_for(t, host, cox_str_hash(host));
	return s->host_at ? s : NULL;
}

static struct cox_str text_in(struct cox_str info, uint32_t number)
{
	struct cox_pb_reader r = cox_pb_reader(info);
	struct cox_pb_field f;
	while (cox_pb_next(&r, &f))
		if (f.number == number)
			return cox_pb_as_str(&r, &f);
	return COX_STR("");
}

/* Short forms belong to services of the pod's own cluster domain only: the entry under the full name has to be called so. */
static const struct slot *find_full(const struct cox_dns_table *t, struct cox_str name, struct cox_str middle, struct cox_str domain)
{
	char full[600];
	int n = snprintf(full, sizeof(full), "%.*s%s%.*s.%.*s", COX_FMT(name), middle.n ? "." : "", COX_FMT(middle), COX_FMT(domain));
	if (n < 0 || (size_t)n >= sizeof(full))
		return NULL;
	const struct slot *s = find_host(t, cox_str_make(full, (size_t)n));
	return s && text_in(info_of(t, s), SHORTNAME).n ? s : NULL;
}

/* As it stands, then name, name.namespace, name.namespace.svc. */
static const struct slot *find_plain(const struct cox_dns_table *t, const struct cox_dns_place *place, struct cox_str name)
{
	const struct slot *s = find_host(t, name);
	ptrdiff_t dot = cox_str_find(place->svc_domain, '.');
	if (s || !place->svc_domain.n)
		return s;
	if (place->ns.n)
		s = find_full(t, name, place->ns, place->svc_domain);
	if (!s && cox_str_find(name, '.') > 0)
		s = find_full(t, name, COX_STR(""), place->svc_domain);
	struct cox_str svc = cox_str_sub(place->svc_domain, 0, dot < 0 ? 0 : (size_t)dot);
	if (!s && svc.n && name.n > svc.n + 1 && cox_str_has_suffix(name, svc) && name.p[name.n - svc.n - 1] == '.')
		s = find_full(t, name, COX_STR(""), cox_str_sub(place->svc_domain, (size_t)dot + 1, place->svc_domain.n));
	return s;
}

static const struct slot *find_wildcard(const struct cox_dns_table *t, struct cox_str name)
{
	for (ptrdiff_t dot = cox_str_find(name, '.'); dot >= 0; dot = cox_str_find(name, '.')) {
		/* "*" and what stands from the dot on. */
		char host[300];
		size_t n = name.n - (size_t)dot;
		if (n + 1 > sizeof(host))
			return NULL;
		host[0] = '*';
		memcpy(host + 1, name.p + dot, n);
		const struct slot *s = find_host(t, cox_str_make(host, n + 1));
		if (s)
			return s;
		name = cox_str_sub(name, (size_t)dot + 1, name.n);
	}
	return NULL;
}

static bool strip(struct cox_str name, struct cox_str search, struct cox_str *base)
{
	if (!search.n || name.n <= search.n + 1 || !cox_str_has_suffix(name, search) || name.p[name.n - search.n - 1] != '.')
		return false;
	*base = cox_str_sub(name, 0, name.n - search.n - 1);
	return true;
}

static bool take(const struct cox_dns_table *t, const struct slot *s, struct cox_str alias, struct cox_dns_hit *out)
{
	if (s)
		*out = (struct cox_dns_hit){ info_of(t, s), alias };
	return s != NULL;
}

bool cox_dns_table_find(const struct cox_dns_table *t, const struct cox_dns_place *place, struct cox_str name, struct cox_dns_hit *out)
{
	struct cox_str base;
	bool has_base = strip(name, place->search, &base);
	if (!name.n)
		return false;
	return take(t, find_plain(t, place, name), COX_STR(""), out) || (has_base && take(t, find_plain(t, place, base), base, out)) ||
	       (has_base && take(t, find_wildcard(t, base), base, out)) || take(t, find_wildcard(t, name), COX_STR(""), out);
}

bool cox_dns_hit_next(const struct cox_dns_hit *hit, size_t *at, bool v6, uint8_t bytes[16])
{
	struct cox_pb_reader r = cox_pb_reader(cox_str_sub(hit->info, *at, hit->info.n));
	struct cox_pb_field f;
	while (cox_pb_next(&r, &f)) {
		*at = (size_t)((const char *)r.at - hit->info.p);
		if (f.number != IPS)
			continue;
		char text[64];
		struct cox_str ip = cox_pb_as_str(&r, &f);
		if (ip.n < sizeof(text) && inet_pton(v6 ? AF_INET6 : AF_INET, cox_str_to_cstr(ip, text, sizeof(text)), bytes) == 1)
			return true;
	}
	return false;
}

/* --- dump ------------------------------------------------------------------------------------ */

static int by_host(const void *a, const void *b, void *table)
{
	return cox_str_cmp(host_of(table, *(const struct slot *const *)a), host_of(table, *(const struct slot *const *)b));
}

static void dump_info(struct cox_str info, struct cox_buf *out)
{
	static const char *const names[] = { [REGISTRY] = "registry", [SHORTNAME] = "shortname", [NAMESPACE] = "namespace" };
	struct cox_pb_reader r = cox_pb_reader(info);
	struct cox_pb_field f;
	bool first = true;
	cox_buf_append_cstr(out, "{\"ips\":[");
	for (; cox_pb_next(&r, &f); first = first && f.number != IPS)
		if (f.number == IPS) {
			cox_buf_append_cstr(out, first ? "" : ",");
			cox_json_write_str(out, cox_pb_as_str(&r, &f));
		}
	cox_buf_append_char(out, ']');
	for (uint32_t i = REGISTRY; i <= NAMESPACE; i++) {
		struct cox_str text = text_in(info, i);
		if (!text.n)
			continue;
		cox_buf_printf(out, ",\"%s\":", names[i]);
		cox_json_write_str(out, text);
	}
	cox_buf_append_char(out, '}');
}

void cox_dns_table_dump(const struct cox_dns_table *t, struct cox_buf *out)
{
	const struct slot **list = cox_calloc(t->count + 1, sizeof(*list));
	size_t n = 0;
	for (size_t i = 0; i < t->slot_count; i++)
		if (t->slots[i].host_at)
			list[n++] = &t->slots[i];
	qsort_r(list, n, sizeof(*list), by_host, (void *)t);
	cox_buf_append_cstr(out, "{\"table\":{");
	for (size_t i = 0; i < n; i++) {
		cox_buf_append_cstr(out, i ? "," : "");
		cox_json_write_str(out, host_of(t, list[i]));
		cox_buf_append_char(out, ':');
		dump_info(info_of(t, list[i]), out);
	}
	cox_buf_append_cstr(out, "}}");
	cox_free(list);
}
