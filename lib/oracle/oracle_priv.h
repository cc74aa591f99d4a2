/* oracle_priv.h - what the files of the walker share. */
#ifndef COX_ORACLE_ORACLE_PRIV_H
#define COX_ORACLE_ORACLE_PRIV_H

#include "oracle/oracle.h"

struct walk {
	struct cox_oracle *o;
	const struct cox_oracle_request *r;
	struct cox_arena *arena;
	struct cox_oracle_walk *out;
	struct cox_str host, query; /* of :authority, lower case; of the path */
	struct cox_str bare_path;   /* without query */
	bool is_grpc;
};

/* config.c: readers of JSON with protobuf's defaults. */
bool oracle_bool(const struct cox_json *v, const char *at, bool otherwise);
int64_t oracle_int(const struct cox_json *v, const char *at, int64_t otherwise);
bool oracle_has(const struct cox_json *v, const char *member);
static inline const struct cox_json *oracle_items(const struct cox_json *list)
{
	return list && list->type == COX_JSON_ARRAY && list->n > 0 ? list->items : NULL;
}
/* for (ORACLE_EACH (item, list)): nothing where it is no list. `list` is evaluated before the first turn only. */
#define ORACLE_EACH(item, list)                                                                                                            \
	const struct cox_json *item##_list = (list), *item = oracle_items(item##_list), *item##_end = item ? item + item##_list->n : NULL; \
	item < item##_end;                                                                                                                 \
	item++
const struct cox_json *oracle_get(const struct cox_json *v, const char *member);
struct cox_str oracle_lower(struct cox_arena *a, struct cox_str s);
/* "type.googleapis.com/a.b.C" -> "C" of a typed_config. */
bool oracle_is_type(const struct cox_json *typed, const char *short_name);
/* An address in 16 bytes (IPv4 mapped). False: none. */
bool oracle_ip(struct cox_str text, unsigned char out[16], bool *is_v6);

/* listener.c */
bool oracle_listener_choose(struct walk *w);
/* chain.c */
bool oracle_chain_choose(struct walk *w);

/* match.c: NULL is a match; else why not, in the arena. */
enum oracle_match { ORACLE_NO, ORACLE_YES, ORACLE_BAD };
bool oracle_string_matches(struct walk *w, const struct cox_json *m, struct cox_str value);
bool oracle_regex_matches(struct walk *w, struct cox_str regex, struct cox_str value);
/* False: the header is absent. Several of one name are joined by commas. */
bool oracle_header(const struct walk *w, struct cox_str name, struct cox_str *value);
struct cox_str oracle_header_fault(struct walk *w, const struct cox_json *matcher);
struct cox_str oracle_match_text(struct walk *w, const struct cox_json *m);
/* route_match.c */
struct cox_str oracle_route_fault(struct walk *w, const struct cox_json *route);
struct cox_str oracle_route_reason(struct walk *w, const struct cox_json *route);
/* path.c */
bool oracle_path_prepare(struct walk *w, const struct cox_json *hcm);
/* http.c */
void oracle_http(struct walk *w, const struct cox_json *hcm);
/* action.c */
void oracle_action(struct walk *w);
void oracle_targets(struct walk *w, const struct cox_json *from); /* of tcp_proxy or a RouteAction: cluster or weighted_clusters */
/* rbac.c: DENIED has ended the walk. UNSURE: it has a condition that is not decided here. */
enum oracle_access { ORACLE_ACCESS_ALLOWED, ORACLE_ACCESS_DENIED, ORACLE_ACCESS_UNSURE };
enum oracle_access oracle_rbac(struct walk *w, const struct cox_json *rbac);
/* filter.c: true: a filter answered, the walk is over. */
bool oracle_filters(struct walk *w, const struct cox_json *hcm);
const struct cox_json *oracle_per_filter(const struct walk *w, struct cox_str name);
/* FractionalPercent as 0..100. */
double oracle_percent(const struct cox_json *p);

struct cox_str oracle_printf(struct walk *w, const char *fmt, ...) COX_PRINTF(2, 3);
void oracle_end(struct walk *w, enum cox_oracle_outcome outcome, int status, struct cox_str why);

#endif
