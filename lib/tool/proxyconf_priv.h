/*
 * proxyconf_priv - what the files of proxyconf.h share.
 */
#ifndef COX_TOOL_PROXYCONF_PRIV_H
#define COX_TOOL_PROXYCONF_PRIV_H

#include "tool/proxyconf.h"
#include "tool/table.h"

/* A member by its name in the .proto, in either spelling; NULL: none. `dotted` goes down. */
const struct cox_json *pc_get(const struct cox_json *v, const char *dotted);
struct cox_str pc_str(const struct cox_json *v, const char *dotted);
int64_t pc_i64(const struct cox_json *v, const char *dotted);
size_t pc_count(const struct cox_json *array); /* 0 for what is none */

/* Resources of one section in istioctl's order. */
struct pc_list {
	COX_VEC(const struct cox_json *) items;
};
/* "outbound|9080|v1|reviews.shop.svc": false: not of that form. */
struct pc_cluster_name {
	struct cox_str direction, subset, fqdn;
	int64_t port;
};
bool pc_cluster_name_parse(struct cox_str name, struct pc_cluster_name *out);
/* By service, subset, port, direction, as istioctl orders what has a cluster's name. */
int pc_cluster_name_cmp(struct cox_str a, struct cox_str b);
/* "name.namespace" of the object that metadata says it came from; "". */
struct cox_str pc_origin(const struct cox_json *resource, struct cox_arena *arena);
/* Values joined. */
void pc_join(struct cox_buf *out, const struct cox_json *strings, const char *between);
/* "/prefix*", "regex ..." */
void pc_match_write(const struct cox_json *match, struct cox_buf *out);

void pc_listener_rows(const struct pc_list *list, const struct cox_proxyconf_filter *f, struct cox_table *t);
void pc_listener_header(const struct cox_proxyconf_filter *f, struct cox_table *t);
bool pc_listener_fits(const struct cox_json *listener, const struct cox_proxyconf_filter *f);
int pc_listener_cmp(const void *a, const void *b);
void pc_route_rows(const struct pc_list *list, const struct cox_proxyconf_filter *f, struct cox_table *t);
void pc_secret_write(const struct cox_json *section, const struct cox_proxyconf_filter *f, struct cox_buf *out);
void pc_bootstrap_write(const struct cox_json *section, struct cox_buf *out);
/* The section of the dump whose @type ends so, or NULL; `from` for those that come in several parts (start with 0). */
const struct cox_json *pc_section(const struct cox_json *dump, const char *type, size_t *from);

#endif
