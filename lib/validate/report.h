/*
 * report - the findings about one object as lines of text, the same in logs, admission answers and on the command line.
 * Thread: any; pure.
 */
#ifndef COX_VALIDATE_REPORT_H
#define COX_VALIDATE_REPORT_H

#include "model/object.h"

/* What the findings are about. */
struct cox_report_about {
	struct cox_str kind, ns, name; /* an empty name: the text as a whole ("file.yaml") */
	struct cox_str origin;         /* a file, or empty */
};

/* Takes kind, namespace and name from a document, as far as it has them. Borrows `doc` and `origin`. */
struct cox_report_about cox_report_about(const struct cox_json *doc, struct cox_str origin);

/* Appends one line a finding:
 *   error: VirtualService default/reviews: spec.http[0].route[0].weight: must be ... (file.yaml line 12)
 * Errors come first; what was found beyond COX_DIAGS_MAX is a last line with its count. */
void cox_report_write(const struct cox_diags *diags, const struct cox_report_about *about, struct cox_buf *out);

/* One line without its end: for log lines and status messages. */
void cox_report_write_one(const struct cox_diag *diag, const struct cox_report_about *about, struct cox_buf *out);

/* All errors in one text, separated by "; ": the message of an admission answer. Empty when there are none. */
void cox_report_write_denial(const struct cox_diags *diags, const struct cox_report_about *about, struct cox_buf *out);

#endif
