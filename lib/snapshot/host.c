#include "snapshot/snapshot.h"

struct cox_str cox_host_resolve(struct cox_arena *arena, struct cox_str host, struct cox_str ns, struct cox_str domain)
{
	if (host.n == 0 || host.p[0] == '*' || cox_str_find(host, '.') >= 0 || cox_str_find(host, ':') >= 0)
		return host;
	return cox_arena_printf(arena, "%.*s.%.*s.svc.%.*s", COX_FMT(host), COX_FMT(ns), COX_FMT(domain));
}

bool cox_host_is_wildcard(struct cox_str h) { return h.n > 0 && h.p[0] == '*'; }

static bool eq_nocase_tail(struct cox_str h, struct cox_str tail)
{
	return h.n >= tail.n && cox_str_eq_nocase(cox_str_sub(h, h.n - tail.n, tail.n), tail);
}

/* A wildcard stands for at least one character: "*.example.com" does not cover "example.com" or ".example.com". A wildcard is
 * covered by one whose ending is the same or shorter. */
bool cox_host_covers(struct cox_str pattern, struct cox_str h)
{
	if (!cox_host_is_wildcard(pattern))
		return cox_str_eq_nocase(pattern, h);
	if (pattern.n == 1)
		return true;
	struct cox_str tail = cox_str_sub(pattern, 1, pattern.n - 1);
	if (cox_host_is_wildcard(h))
		return eq_nocase_tail(cox_str_sub(h, 1, h.n - 1), tail);
	return h.n > tail.n && eq_nocase_tail(h, tail);
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
