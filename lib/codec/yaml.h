/*
 * yaml - documents of YAML 1.1 (or JSON, which YAML contains) as json.h trees with line numbers.
 * Scalars follow Kubernetes (sigs.k8s.io/yaml): plain true/false/null/numbers are typed, quoted ones are text,
 * "yes", "on" are text. Aliases are expanded, at most COX_YAML_ALIAS_NODES_MAX nodes in one document.
 */
#ifndef COX_CODEC_YAML_H
#define COX_CODEC_YAML_H

#include "codec/json.h"

enum { COX_YAML_ALIAS_NODES_MAX = 100000 };

/* Called once per document, in order. `root` is NULL where the document could not be parsed and `err` says why (line, text);
 * documents behind a bad one still count. `text` is the document's source. Both are borrowed until return. */
typedef void cox_yaml_doc_fn(void *arg, struct cox_json *root, struct cox_str text, const struct cox_err *err);

/* Splits `text` at "---" lines and parses each document. A text that starts with '{' is taken as a sequence of JSON values.
 * Empty documents are left out. Never fails as a whole; COX_ELIMIT when `text` exceeds `max_bytes`. */
COX_MUST_USE enum cox_rc cox_yaml_each(struct cox_arena *arena, struct cox_str text, size_t max_bytes, cox_yaml_doc_fn *fn, void *arg,
                                       struct cox_err *err);

/* The document of a text that holds a single value. *out is NULL where there is none. Another document behind it: its line goes to
 * *second_line (else 0); where that is NULL it is refused. COX_EINVAL with the line. */
COX_MUST_USE enum cox_rc cox_yaml_one(struct cox_arena *arena, struct cox_str text, size_t max_bytes, struct cox_json **out,
                                      int *second_line, struct cox_err *err);

#endif
