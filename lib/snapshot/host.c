#include "snapshot/snapshot.h"

bool cox_host_is_wildcard(struct cox_str h) { return h.n && h.p[0] == '*'; }

struct cox_str cox_host_resolve(struct cox_arena *arena, struct cox_str host, struct cox_str ns, struct cox_str domain)
{
	if (!host.n || cox_str_find(host, '.') >= 0 || cox_host_is_wildcard(host))
		return host;
	return cox_arena_printf(arena, "%.*s.%.*s.svc.%.*s", COX_FMT(host), COX_FMT(ns), COX_FMT(domain));
}

/* What a wildcard fixes: "*.example.com" fixes ".example.com", "*" nothing. */
static struct cox_str tail(struct cox_str pattern) { return cox_str_sub(pattern, 1, pattern.n); }

bool cox_host_covers(struct cox_str pattern, struct cox_str h)
{
	if (!cox_host_is_wildcard(pattern))
		return cox_str_eq(pattern, h);
	if (cox_host_is_wildcard(h))
		return cox_str_has_suffix(tail(h), tail(pattern));
	return cox_str_has_suffix(h, tail(pattern));
}

bool cox_host_overlaps(struct cox_str a, struct cox_str b) { return cox_host_covers(a, b) || cox_host_covers(b, a); }

int cox_host_cmp_specific(struct cox_str a, struct cox_str b)
{
	bool wild_a = cox_host_is_wildcard(a), wild_b = cox_host_is_wildcard(b);
	if (wild_a != wild_b)
		return wild_a ? 1 : -1;
	if (wild_a && a.n != b.n)
		return a.n > b.n ? -1 : 1;
	return cox_str_cmp(a, b);
}
