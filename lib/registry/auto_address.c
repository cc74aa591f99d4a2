/*
 * Addresses of our own for ServiceEntry hosts without any: 240.240.x.y, found by the hash of the hostname, so that every replica and
 * every restart gives the same ones. Older hosts choose first: a new one never moves an address that is in use. What stands in an
 * entry's status already (written by us, or by the controller that was here before) is its host's; of two hosts with one address the
 * older keeps it.
 */
#include "registry/registry_priv.h"

#include <stdlib.h>

enum { LAST_OCTETS = 254, ADDRESSES = 256 * LAST_OCTETS }; /* .0 and .255 are left out: some stacks take them for broadcast */

struct want {
	struct cox_str host;
	int64_t creation_ms;
	size_t given; /* number + 1 of the address in the status; 0: none of ours */
};

/* "240.240.x.y" -> number + 1; 0: another address. */
static size_t number_of(struct cox_str address)
{
	struct cox_str rest = address, part;
	uint64_t octets[4];
	size_t n = 0;
	while (n < 4 && rest.n && cox_str_next(&rest, '.', &part) && cox_str_to_u64(part, &octets[n]) == COX_OK)
		n++;
	if (n != 4 || rest.n || octets[0] != 240 || octets[1] != 240 || octets[2] > 255 || octets[3] < 1 || octets[3] > LAST_OCTETS)
		return 0;
	return (size_t)(octets[2] * LAST_OCTETS + octets[3] - 1) + 1;
}

static size_t given_of(const struct cox_object *o, struct cox_str host)
{
	const struct cox_service_entry_status *status = COX_SPEC(cox_service_entry_object, o)->status;
	size_t given = 0;
	for (size_t i = 0; status && i < status->addresses.n && !given; i++)
		if (status->addresses.p[i].host.n == 0 || cox_str_eq(status->addresses.p[i].host, host))
			given = number_of(status->addresses.p[i].value);
	return given;
}

static int by_host(const void *a, const void *b)
{
	const struct want *x = a, *y = b;
	int c = cox_str_cmp(x->host, y->host);
	return c != 0 ? c : (x->creation_ms > y->creation_ms) - (x->creation_ms < y->creation_ms);
}

static int by_age(const void *a, const void *b)
{
	const struct want *x = a, *y = b;
	if (x->creation_ms != y->creation_ms)
		return x->creation_ms < y->creation_ms ? -1 : 1;
	return cox_str_cmp(x->host, y->host);
}

static size_t collect(const struct cox_registry *r, struct cox_arena *arena, struct want **out)
{
	const struct reg_store *store = &r->stores[COX_KIND_SERVICE_ENTRY];
	size_t max = 0, n = 0, distinct = 0;
	for (size_t i = 0; i < store->n; i++) {
		const struct cox_service_entry *se = COX_SPEC(cox_service_entry_object, store->p[i])->spec;
		max += se ? se->hosts.n : 0;
	}
	struct want *all = COX_ARENA_ARRAY(arena, struct want, max + 1);
	for (size_t i = 0; i < store->n; i++) {
		const struct cox_service_entry *se = COX_SPEC(cox_service_entry_object, store->p[i])->spec;
		for (size_t h = 0; se && h < se->hosts.n; h++)
			if (reg_entry_wants_address(store->p[i], se->hosts.p[h]))
				all[n++] =
				    (struct want){ se->hosts.p[h], store->p[i]->meta.creation_ms, given_of(store->p[i], se->hosts.p[h]) };
	}
	qsort(all, n, sizeof(*all), by_host);
	for (size_t i = 0; i < n; i++) /* one hostname in several namespaces has one address, and the age of the oldest */
		if (distinct == 0 || !cox_str_eq(all[i].host, all[distinct - 1].host))
			all[distinct++] = all[i];
		else if (!all[distinct - 1].given)
			all[distinct - 1].given = all[i].given;
	qsort(all, distinct, sizeof(*all), by_age);
	*out = all;
	return distinct;
}

static bool is_used(const uint8_t *used, size_t at) { return used[at / 8] & (1u << (at % 8)); }
static void use(uint8_t *used, size_t at) { used[at / 8] |= (uint8_t)(1u << (at % 8)); }

static void assign(struct cox_map *into, struct cox_arena *text, const struct want *all, size_t n)
{
	uint8_t *used = cox_calloc(ADDRESSES / 8 + 1, 1);
	for (size_t i = 0; i < n && i < ADDRESSES; i++) {
		size_t at = all[i].given - 1;
		if (all[i].given == 0 || is_used(used, at))
			continue;
		use(used, at);
		cox_map_set(into, cox_arena_str(text, all[i].host), (void *)(uintptr_t)(at + 1));
	}
	for (size_t i = 0; i < n && i < ADDRESSES; i++) {
		size_t at = (size_t)(cox_hash64(all[i].host.p, all[i].host.n) % ADDRESSES);
		if (cox_map_find(into, all[i].host))
			continue;
		while (is_used(used, at))
			at = (at + 1) % ADDRESSES;
		use(used, at);
		cox_map_set(into, cox_arena_str(text, all[i].host), (void *)(uintptr_t)(at + 1));
	}
	cox_free(used);
}

static void mark_host(struct cox_registry *r, struct cox_str host)
{
	for (struct reg_slot *s = reg_slot_first(r, host); s; s = s->next)
		if (s->claims.n > 0)
			reg_unit_mark(r, s->claims.p[0]);
}

void reg_auto_update(struct cox_registry *r)
{
	struct cox_arena arena = { 0 };
	struct want *all;
	size_t n = collect(r, &arena, &all);
	struct cox_hash hash = { 0 };
	for (size_t i = 0; i < n; i++)
		hash = cox_hash_combine(cox_hash_combine(hash, cox_hash128(all[i].host.p, all[i].host.n)),
		                        (struct cox_hash){ all[i].given, 0 });
	r->is_auto_dirty = false;
	if (!cox_hash_eq(hash, r->auto_hash)) { /* which hosts, and in which order they choose */
		struct cox_map now = { 0 };
		struct cox_arena text = { 0 };
		assign(&now, &text, all, n);
		for (size_t i = 0; i < n; i++)
			if (cox_map_find(&now, all[i].host) != cox_map_find(&r->auto_addresses, all[i].host))
				mark_host(r, all[i].host);
		cox_map_fini(&r->auto_addresses);
		cox_arena_fini(&r->auto_text);
		r->auto_addresses = now;
		r->auto_text = text;
		r->auto_hash = hash;
	}
	cox_arena_fini(&arena);
}

struct cox_str reg_auto_address(const struct cox_registry *r, struct cox_str hostname, struct cox_arena *arena)
{
	uintptr_t at = (uintptr_t)cox_map_find(&r->auto_addresses, hostname);
	if (at == 0)
		return (struct cox_str){ 0 };
	at--;
	return cox_arena_printf(arena, "240.240.%zu.%zu", (size_t)at / LAST_OCTETS, (size_t)at % LAST_OCTETS + 1);
}

struct cox_str cox_auto_address_v6(struct cox_str v4, struct cox_arena *arena)
{
	size_t number = number_of(v4);
	/* As istiod's look: the last part is the number; f0f0 stands for 240.240. */
	return number ? cox_arena_printf(arena, "2001:2::f0f0:%zx", number - 1) : v4;
}

bool reg_is_auto_address(struct cox_str address) { return number_of(address) > 0; }

size_t cox_registry_auto_addresses(const struct cox_registry *r, const struct cox_object *entry, struct cox_arena *arena,
                                   struct cox_se_address **out)
{
	const struct cox_service_entry *se = COX_SPEC(cox_service_entry_object, entry)->spec;
	size_t n = 0;
	*out = COX_ARENA_ARRAY(arena, struct cox_se_address, se ? se->hosts.n + 1 : 1);
	for (size_t i = 0; se && i < se->hosts.n; i++) {
		struct cox_str address = { 0 };
		if (reg_entry_wants_address(entry, se->hosts.p[i]))
			address = reg_auto_address(r, se->hosts.p[i], arena);
		if (address.n)
			(*out)[n++] = (struct cox_se_address){ .value = address, .host = se->hosts.p[i] };
	}
	return n;
}

bool cox_registry_auto_addresses_are_said(const struct cox_object *entry, const struct cox_se_address *list, size_t n)
{
	const struct cox_service_entry_status *status = COX_SPEC(cox_service_entry_object, entry)->status;
	size_t have = status ? status->addresses.n : 0, at = 0;
	/* What others gave (IPv6, say) does not matter; ours must be there, in any order, and no others of ours. */
	for (size_t i = 0; i < have; i++)
		at += reg_is_auto_address(status->addresses.p[i].value);
	if (at != n)
		return false;
	for (size_t i = 0; i < n; i++) {
		bool is_there = false;
		for (size_t k = 0; k < have && !is_there; k++)
			is_there = cox_str_eq(status->addresses.p[k].value, list[i].value) &&
			           cox_str_eq(status->addresses.p[k].host, list[i].host);
		if (!is_there)
			return false;
	}
	return true;
}
