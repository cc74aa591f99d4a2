#include "tool/control.h"

#include "tool/pod.h"

enum cox_rc cox_control_open(const struct cox_control_spec *spec, struct cox_control *out, struct cox_err *err)
{
	struct cox_json *pods = NULL;
	*out = (struct cox_control){ 0 };
	if (spec->server) {
		out->replicas = COX_ARENA_ARRAY(&out->arena, struct cox_control_replica, 1);
		out->replicas[0] = (struct cox_control_replica){ .name = cox_str_of(spec->server), .reach.url = cox_str_of(spec->server) };
		out->n = 1;
		return COX_OK;
	}
	COX_TRY(cox_cluster_open(&spec->cluster, &out->cluster, err));
	COX_TRY(cox_pod_istiods(out->cluster, spec->istio_ns, spec->revision, &out->arena, &pods, err));
	out->replicas = COX_ARENA_ARRAY(&out->arena, struct cox_control_replica, pods->n);
	for (size_t i = 0; i < pods->n; i++) {
		struct cox_str name = cox_json_str_at(&pods->items[i], "metadata.name");
		out->replicas[out->n++] =
		    (struct cox_control_replica){ .name = name,
			                          .reach = { .cluster = out->cluster,
			                                     .ns = cox_json_str_at(&pods->items[i], "metadata.namespace"),
			                                     .pod = name,
			                                     .port = spec->port ? spec->port : COX_CONTROL_PORT } };
	}
	return COX_OK;
}

void cox_control_close(struct cox_control *c)
{
	cox_cluster_close(&c->cluster);
	cox_arena_fini(&c->arena);
	*c = (struct cox_control){ 0 };
}

enum cox_rc cox_control_ask_all(struct cox_control *c, struct cox_str path, struct cox_json **out, struct cox_buf *notes,
                                struct cox_err *err)
{
	struct cox_json *all = cox_json_new_object(&c->arena), *one = NULL;
	struct cox_str answer;
	struct cox_err last = { 0 };
	char text[768];
	for (size_t i = 0; i < c->n; i++) {
		if (cox_reach_ask(&c->replicas[i].reach, NULL, path, &c->arena, &answer, &last) == COX_OK) {
			if (cox_json_parse_answer(&c->arena, answer, &one, NULL) != COX_OK)
				one = cox_json_new_str(&c->arena, answer);
			cox_json_set(&c->arena, all, c->replicas[i].name, one);
		} else
			cox_buf_printf(notes, "%s\n", cox_err_describe(&last, text, sizeof(text)));
	}
	if (!all->n) {
		cox_buf_clear(notes);
		if (err)
			*err = last;
		return last.rc != COX_OK ? last.rc : COX_ENOTFOUND;
	}
	*out = all;
	return COX_OK;
}
