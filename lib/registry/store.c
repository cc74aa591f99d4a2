/* Sorted arrays of objects. They mostly arrive sorted (a list of the apiserver is), so a put at the end is the common case. */
#include "registry/registry_priv.h"

static size_t lower_bound(const struct reg_store *s, struct cox_str id)
{
	size_t lo = 0, hi = s->n;
	if (s->n > 0 && cox_str_cmp(s->p[s->n - 1]->id, id) < 0)
		return s->n;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if (cox_str_cmp(s->p[mid]->id, id) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

const struct cox_object *reg_store_find(const struct reg_store *s, struct cox_str id)
{
	size_t at = lower_bound(s, id);
	return at < s->n && cox_str_eq(s->p[at]->id, id) ? s->p[at] : NULL;
}

const struct cox_object *reg_store_put(struct reg_store *s, const struct cox_object *o)
{
	size_t at = lower_bound(s, o->id);
	cox_object_ref(o);
	if (at < s->n && cox_str_eq(s->p[at]->id, o->id)) {
		const struct cox_object *old = s->p[at];
		s->p[at] = o;
		return old;
	}
	if (s->n == s->cap) {
		s->cap = s->cap < 8 ? 8 : s->cap + s->cap / 4; /* tight: most stores stop growing after the first list */
		s->p = cox_realloc(s->p, s->cap * sizeof(*s->p));
	}
	memmove(&s->p[at + 1], &s->p[at], (s->n - at) * sizeof(*s->p));
	s->p[at] = o;
	s->n++;
	return NULL;
}

const struct cox_object *reg_store_remove(struct reg_store *s, struct cox_str id)
{
	size_t at = lower_bound(s, id);
	if (at == s->n || !cox_str_eq(s->p[at]->id, id))
		return NULL;
	const struct cox_object *old = s->p[at];
	memmove(&s->p[at], &s->p[at + 1], (s->n - at - 1) * sizeof(*s->p));
	s->n--;
	return old;
}

void reg_store_fini(struct reg_store *s)
{
	for (size_t i = 0; i < s->n; i++)
		cox_object_unref(s->p[i]);
	cox_free(s->p);
	*s = (struct reg_store){ 0 };
}

/* An object's id in a buffer on the stack; longer ones cannot exist (names are at most 253 characters). */
enum { ID_MAX = 640 };

static struct cox_str make_id(char buf[ID_MAX], enum cox_kind kind, struct cox_str ns, struct cox_str name)
{
	struct cox_str parts[] = { cox_kind_info(kind)->word, COX_STR("/"), ns, COX_STR("/"), name };
	size_t n = 0;
	for (size_t i = 0; i < COX_LEN(parts); i++) {
		if (n + parts[i].n > ID_MAX)
			return (struct cox_str){ 0 };
		if (parts[i].n > 0)
			memcpy(buf + n, parts[i].p, parts[i].n);
		n += parts[i].n;
	}
	return (struct cox_str){ buf, n };
}

void reg_store_range(const struct reg_store *s, enum cox_kind kind, struct cox_str ns, size_t *from, size_t *to)
{
	char buf[ID_MAX];
	struct cox_str prefix = make_id(buf, kind, ns, (struct cox_str){ 0 });
	*from = *to = 0;
	if (prefix.n == 0 || s->n == 0)
		return;
	*from = lower_bound(s, prefix);
	buf[prefix.n - 1] = '/' + 1; /* the first id behind those that start with the prefix */
	*to = lower_bound(s, prefix);
}

const struct cox_object *reg_object(const struct cox_registry *r, enum cox_kind kind, struct cox_str ns, struct cox_str name)
{
	char buf[ID_MAX];
	return reg_store_find(&r->stores[kind], make_id(buf, kind, ns, name));
}
