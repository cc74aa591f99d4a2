#include "xds/pushed.h"

#include "base/clock.h"

static uint32_t to_us(int64_t ns) { return ns <= 0 ? 1 : (uint32_t)cox_min_size((size_t)ns / 1000 + 1, UINT32_MAX); }

void xds_pushed_wanted(struct xds_pushed *p, uint64_t cause)
{
	if (!cause)
		return;
	if (!p->first_cause || cause < p->first_cause)
		p->first_cause = cause;
	if (cause > p->last_cause)
		p->last_cause = cause;
}

void xds_pushed_settled(struct xds_pushed *p)
{
	if (!p->first_cause)
		return;
	p->first_before = p->first_cause;
	p->last_before = p->last_cause;
	p->first_cause = p->last_cause = 0;
}

void xds_pushed_note(struct xds_pushed *p, const struct cox_xds_response *r, size_t bytes, int64_t event_ns)
{
	size_t at = p->n++ % COX_XDS_PUSHES_KEPT;
	int64_t now = cox_clock_mono_ns();
	struct cox_xds_push *item = &p->items[at];
	p->sent_ns[at] = now;
	*item = (struct cox_xds_push){ .first_cause = p->first_cause ? p->first_cause : p->first_before,
		                       .last_cause = p->first_cause ? p->last_cause : p->last_before,
		                       .sent_ms = cox_clock_wall_ms(),
		                       .nonce = r->nonce,
		                       .resources = (uint32_t)r->resource_n,
		                       .removed = (uint32_t)r->removed_n,
		                       .bytes = (uint32_t)cox_min_size(bytes, UINT32_MAX),
		                       .event_to_sent_us = event_ns && !r->is_asked ? to_us(now - event_ns) : 0,
		                       .type = (uint8_t)r->type,
		                       .is_asked = r->is_asked };
	for (unsigned part = 0; part < COX_XDS_PARTS; part++)
		if (r->steps[part]) {
			item->resources += (uint32_t)r->steps[part]->changed_n;
			item->removed += (uint32_t)r->steps[part]->removed_n;
		}
}

void xds_pushed_answered(struct xds_pushed *p, enum cox_type type, struct cox_str nonce, bool is_rejected)
{
	int64_t number;
	if (!nonce.n || cox_str_to_i64(nonce, &number) != COX_OK)
		return;
	for (size_t i = 0; i < COX_XDS_PUSHES_KEPT; i++) {
		struct cox_xds_push *item = &p->items[i];
		if (item->nonce != (uint64_t)number || item->type != type || item->sent_to_ack_us)
			continue;
		item->sent_to_ack_us = to_us(cox_clock_mono_ns() - p->sent_ns[i]);
		item->is_rejected = is_rejected;
	}
}

size_t xds_pushed_copy(const struct xds_pushed *p, struct cox_xds_push *out)
{
	size_t n = cox_min_size(p->n, COX_XDS_PUSHES_KEPT);
	for (size_t i = 0; i < n; i++)
		out[i] = p->items[(p->n - n + i) % COX_XDS_PUSHES_KEPT];
	return n;
}
