/*
 * crd - CustomResourceDefinitions made from the field tables of our kinds. Pure but for cox_tool_crd_write_all().
 */
#ifndef COX_TOOL_CRD_H
#define COX_TOOL_CRD_H

#include "model/object.h"

/* The definition of one kind as a tree. Only for kinds that are ours. */
struct cox_json *cox_tool_crd_build(const struct cox_kind_info *kind, struct cox_arena *arena);
/* The same as YAML text with its head line, as it stands in crd/. */
void cox_tool_crd_write(const struct cox_kind_info *kind, struct cox_buf *out);
/* "networking.istio.io_virtualservices.yaml" */
struct cox_str cox_tool_crd_file_name(const struct cox_kind_info *kind, struct cox_arena *arena);
/* Writes one file a kind into an existing directory. COX_EIO: a file could not be written; `err` names it. */
COX_MUST_USE enum cox_rc cox_tool_crd_write_all(const char *dir, struct cox_err *err);

#endif
