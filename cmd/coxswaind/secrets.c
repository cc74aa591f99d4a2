#include "secrets.h"

#include "base/log.h"
#include "kube/access.h"

struct secrets {
	struct cox_push *push;
	struct cox_kube_source *source;
	struct cox_kube_access *access;
};

struct secrets *secrets_new(void) { return COX_NEW(struct secrets); }

void secrets_free(struct secrets *s)
{
	if (!s)
		return;
	secrets_clear_kube(s);
	cox_free(s);
}

void secrets_set_push(struct secrets *s, struct cox_push *push) { s->push = push; }

static void on_changed(void *ctx) { cox_push_access_changed(((struct secrets *)ctx)->push); }

void secrets_set_kube(struct secrets *s, struct cox_kube_client *client, struct cox_kube_source *source)
{
	/* Nothing was wanted yet: push translates when the sources are complete. */
	s->source = source;
	s->access = cox_kube_access_new(
	    client, &(struct cox_kube_access_spec){ .verb = "list", .group = "", .resource = "secrets", .changed = on_changed, .ctx = s });
}

void secrets_clear_kube(struct secrets *s)
{
	cox_kube_access_free(&s->access);
	s->source = NULL;
}

void secrets_want(struct secrets *s, enum cox_kind kind, struct cox_str ns, struct cox_str name, bool is_wanted)
{
	if (!s->source)
		return;
	if (!is_wanted) {
		cox_kube_source_unwant(s->source, kind, ns, name);
		return;
	}
	enum cox_rc rc = cox_kube_source_want(s->source, kind, ns, name);
	if (rc != COX_OK)
		cox_log(COX_LOG_WARN, "push", "cannot be watched: %s kind=%.*s ns=%.*s name=%.*s", cox_rc_text(rc),
		        COX_FMT(cox_kind_info(kind)->name), COX_FMT(ns), COX_FMT(name));
}

enum cox_access secrets_may_list(struct secrets *s, struct cox_str ns, struct cox_str service_account)
{
	if (!s->access)
		return COX_ACCESS_ALLOWED;
	switch (cox_kube_access_check(s->access, ns, service_account)) {
	case COX_KUBE_ACCESS_ALLOWED: return COX_ACCESS_ALLOWED;
	case COX_KUBE_ACCESS_DENIED: return COX_ACCESS_DENIED;
	case COX_KUBE_ACCESS_ASKING: break;
	}
	return COX_ACCESS_ASKING;
}
