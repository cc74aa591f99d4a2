#include "ca/doc_store_priv.h"

void doc_store_put(struct doc_store *s, struct cox_str name, struct cox_str text, doc_done_fn *done, void *ctx)
{
	s->ops->put(s, name, text, done, ctx);
}

void doc_store_update(struct doc_store *s, struct cox_str name, doc_change_fn *change, doc_done_fn *done, void *ctx)
{
	s->ops->update(s, name, change, done, ctx);
}

void doc_store_remove(struct doc_store *s, struct cox_str name) { s->ops->remove(s, name); }

void doc_store_close(struct doc_store **s)
{
	if (*s)
		(*s)->ops->close(*s);
	*s = NULL;
}
