/* Where hostnames and addresses lead. Both indexes hold places in snapshot.svcs and survive as long as the places do. */
#include "snapshot/snapshot_priv.h"

#include <stdlib.h>

/* --- hostnames --------------------------------------------------------------------------------------- */

static bool is_same_order(const struct snap_hosts *h, const struct cox_snap_svc *svcs, size_t n)
{
	if (h->n != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!cox_str_eq(h->names[i], svcs[i].svc->hostname) || !cox_str_eq(h->spaces[i], svcs[i].svc->ns))
			return false;
	return true;
}

static struct cox_str put_text(char **text, struct cox_str s)
{
	struct cox_str to = { *text, s.n };
	if (s.n > 0)
		memcpy(*text, s.p, s.n);
	*text += s.n;
	return to;
}

const struct snap_hosts *snap_hosts_build(const struct cox_snap_svc *svcs, size_t n, const struct snap_hosts *before)
{
	if (before && is_same_order(before, svcs, n)) {
		cox_ref_get(&((struct snap_hosts *)before)->ref);
		return before;
	}
	size_t bytes = 0;
	for (size_t i = 0; i < n; i++)
		bytes += svcs[i].svc->hostname.n + svcs[i].svc->ns.n;
	struct snap_hosts *h = cox_zalloc(sizeof(*h) + n * (2 * sizeof(*h->names) + sizeof(*h->next)) + bytes);
	cox_ref_init(&h->ref);
	h->n = n;
	h->names = (struct cox_str *)(h + 1);
	h->spaces = h->names + n;
	h->next = (uint32_t *)(h->spaces + n);
	char *text = (char *)(h->next + n);
	for (size_t i = 0; i < n; i++) {
		h->names[i] = put_text(&text, svcs[i].svc->hostname);
		h->spaces[i] = put_text(&text, svcs[i].svc->ns);
	}
	for (size_t i = n; i-- > 0;) { /* from the end, so that each chain is in order */
		uintptr_t first = (uintptr_t)cox_map_set(&h->first, h->names[i], (void *)(uintptr_t)(i + 1));
		h->next[i] = (uint32_t)first;
	}
	return h;
}

void snap_hosts_unref(const struct snap_hosts *h)
{
	struct snap_hosts *mine = (struct snap_hosts *)h;
	if (!mine || !cox_ref_put(&mine->ref))
		return;
	cox_map_fini(&mine->first);
	cox_free(mine);
}

const struct cox_snap_svc *snap_hosts_first(const struct cox_snapshot *s, struct cox_str hostname)
{
	uintptr_t at = (uintptr_t)cox_map_find(&s->index->hosts->first, hostname);
	return at ? &s->svcs.p[at - 1] : NULL;
}

const struct cox_snap_svc *snap_hosts_next(const struct cox_snapshot *s, const struct cox_snap_svc *svc)
{
	uint32_t at = s->index->hosts->next[svc->index];
	return at ? &s->svcs.p[at - 1] : NULL;
}

/* The viewer's own namespace, then Kubernetes, then age (which is the order of places). */
bool snap_svc_is_preferred(const struct cox_snap_svc *a, const struct cox_snap_svc *b, struct cox_str ns)
{
	bool own_a = cox_str_eq(a->svc->ns, ns), own_b = cox_str_eq(b->svc->ns, ns);
	if (own_a != own_b)
		return own_a;
	if (a->svc->origin != b->svc->origin)
		return a->svc->origin == COX_SVC_KUBE;
	return a->index < b->index;
}

const struct cox_snap_svc *cox_snapshot_svc_find(const struct cox_snapshot *s, struct cox_str hostname, struct cox_str ns)
{
	const struct cox_snap_svc *best = NULL;
	for (const struct cox_snap_svc *v = snap_hosts_first(s, hostname); v; v = snap_hosts_next(s, v))
		if (cox_export_is_visible(&v->svc->export_to, ns) && (!best || snap_svc_is_preferred(v, best, ns)))
			best = v;
	return best;
}

/* --- addresses ------------------------------------------------------------------------------------------ */

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

typedef COX_VEC(uint64_t) entries;

static void add_svc(entries *out, const struct cox_snap_svc *v)
{
	struct cox_str before = { 0 };
	for (COX_EACH(struct cox_endpoint, e, v->endpoints->items)) {
		if (e->address.p == before.p && e->address.n == before.n)
			continue; /* ports of one pod share their text */
		before = e->address;
		cox_vec_push(out, (uint64_t)cox_str_hash(e->address) << 32 | v->index);
	}
}

static size_t drop_duplicates(uint64_t *p, size_t n)
{
	size_t kept = 0;
	if (n > 0)
		qsort(p, n, sizeof(*p), by_value);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || p[i] != p[kept - 1])
			p[kept++] = p[i];
	return kept;
}

/* Of the generation before all entries stay but those of services whose endpoints changed; these are sorted and merged in. */
static struct snap_ips *ips_merge(const struct cox_snapshot *s, const struct snap_ips *old, const struct cox_snap_svc *before)
{
	entries fresh = { 0 };
	for (size_t i = 0; i < s->svcs.n; i++)
		if (!before || before[i].endpoints != s->svcs.p[i].endpoints)
			add_svc(&fresh, &s->svcs.p[i]);
	fresh.n = drop_duplicates(fresh.p, fresh.n);
	COX_ASSERT(fresh.n == 0 || fresh.p);
	struct snap_ips *ips = cox_alloc(sizeof(*ips) + (fresh.n + (old ? old->n : 0)) * sizeof(ips->entries[0]));
	cox_ref_init(&ips->ref);
	ips->n = 0;
	size_t k = 0;
	for (size_t i = 0; old && i < old->n; i++) {
		uint32_t place = (uint32_t)old->entries[i];
		if (before[place].endpoints != s->svcs.p[place].endpoints)
			continue;
		while (k < fresh.n && fresh.p[k] < old->entries[i])
			ips->entries[ips->n++] = fresh.p[k++];
		ips->entries[ips->n++] = old->entries[i];
	}
	while (k < fresh.n)
		ips->entries[ips->n++] = fresh.p[k++];
	cox_vec_fini(&fresh);
	return ips;
}

const struct snap_ips *snap_ips_build(const struct cox_snapshot *s, const struct cox_snapshot *before)
{
	if (!before || before->index->hosts != s->index->hosts) /* places moved */
		return ips_merge(s, NULL, NULL);
	for (size_t i = 0; i < s->svcs.n; i++)
		if (before->svcs.p[i].endpoints != s->svcs.p[i].endpoints)
			return ips_merge(s, before->index->ips, before->svcs.p);
	cox_ref_get(&((struct snap_ips *)before->index->ips)->ref);
	return before->index->ips;
}

void snap_ips_unref(const struct snap_ips *i)
{
	if (i && cox_ref_put(&((struct snap_ips *)i)->ref))
		cox_free((void *)i);
}

static bool is_at(const struct cox_snap_svc *v, struct cox_str ip)
{
	for (COX_EACH(struct cox_endpoint, e, v->endpoints->items))
		if (cox_str_eq(e->address, ip))
			return true;
	return false;
}

static void find_at(const struct cox_snapshot *s, struct cox_str ip, entries *out)
{
	const struct snap_ips *ips = s->index->ips;
	uint32_t hash = cox_str_hash(ip);
	size_t lo = 0, hi = ips->n;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if (ips->entries[mid] >> 32 < hash)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < ips->n && ips->entries[lo] >> 32 == hash; lo++) {
		uint32_t place = (uint32_t)ips->entries[lo];
		if (is_at(&s->svcs.p[place], ip))
			cox_vec_push(out, place);
	}
}

static size_t finish(const struct cox_snapshot *s, entries *places, struct cox_arena *arena, const struct cox_snap_svc ***out)
{
	size_t n = drop_duplicates(places->p, places->n);
	COX_ASSERT(n == 0 || places->p);
	*out = COX_ARENA_ARRAY(arena, const struct cox_snap_svc *, n + 1);
	for (size_t i = 0; i < n; i++)
		(*out)[i] = &s->svcs.p[places->p[i]];
	cox_vec_fini(places);
	return n;
}

size_t cox_snapshot_svcs_at(const struct cox_snapshot *s, const struct cox_str *ips, size_t ip_count, struct cox_arena *arena,
                            const struct cox_snap_svc ***out)
{
	entries places = { 0 };
	for (size_t i = 0; i < ip_count; i++)
		find_at(s, ips[i], &places);
	return finish(s, &places, arena, out);
}

size_t cox_snapshot_svcs_of(const struct cox_snapshot *s, struct cox_str ns, const struct cox_kv *labels, size_t label_n,
                            const struct cox_str *ips, size_t ip_count, struct cox_arena *arena, const struct cox_snap_svc ***out)
{
	entries places = { 0 };
	for (size_t i = 0; i < ip_count; i++)
		find_at(s, ips[i], &places);
	for (size_t i = 0; i < s->svcs.n; i++) {
		const struct cox_svc *v = s->svcs.p[i].svc;
		if (v->selector.n > 0 && cox_str_eq(v->ns, ns) && cox_kv_is_subset(v->selector.p, v->selector.n, labels, label_n))
			cox_vec_push(&places, i);
	}
	return finish(s, &places, arena, out);
}
