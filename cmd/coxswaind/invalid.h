/* invalid - how many objects are not in force because they are faulty, by kind, as a gauge. Thread: the config loop. */
#ifndef COXSWAIND_INVALID_H
#define COXSWAIND_INVALID_H

#include "source/events.h"

struct invalid;
struct invalid *invalid_new(void);
void invalid_free(struct invalid *v);
/* Notes what a report says: errors make the object one of them, none takes it out. */
void invalid_note(struct invalid *v, const struct cox_source_report *r);
/* An object that is gone is not invalid. */
void invalid_forget(struct invalid *v, enum cox_kind kind, struct cox_str ns, struct cox_str name);

#endif
