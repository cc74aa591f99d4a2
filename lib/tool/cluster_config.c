/* cluster_config.c - $KUBECONFIG with several files. */
#include "tool/cluster_priv.h"

#include "base/file.h"
#include "codec/yaml.h"
#include "kube/file.h"

#include <stdio.h>

/* Names of files in a kubeconfig are relative to it: in the merged text they have to be whole. */
static void paths_complete(struct cox_arena *arena, struct cox_json *entry, struct cox_str dir)
{
	static const char *const keys[] = { "certificate-authority", "client-certificate", "client-key", "tokenFile" };
	for (size_t i = 0; i < COX_LEN(keys); i++) {
		struct cox_str file = cox_json_str_at(entry, keys[i]);
		if (file.n && file.p[0] != '/' && dir.n)
			cox_json_set(arena, entry, cox_str_of(keys[i]), cox_json_new_str(arena, cox_arena_concat(arena, dir, file)));
	}
	struct cox_json *exec = (struct cox_json *)(uintptr_t)cox_json_get(entry, COX_STR("exec"));
	struct cox_str command = cox_json_str_at(exec, "command");
	if (command.n && command.p[0] != '/' && cox_str_find(command, '/') >= 0 && dir.n)
		cox_json_set(arena, exec, COX_STR("command"), cox_json_new_str(arena, cox_arena_concat(arena, dir, command)));
}

static bool has_name(const struct cox_json *list, struct cox_str name)
{
	for (size_t i = 0; i < list->n; i++)
		if (cox_str_eq(cox_json_str_at(&list->items[i], "name"), name))
			return true;
	return false;
}

static void list_merge(struct cox_arena *arena, struct cox_json *into, const struct cox_json *from, const char *list, const char *inner,
                       struct cox_str dir)
{
	const struct cox_json *more = cox_json_get(from, cox_str_of(list));
	struct cox_json *have = (struct cox_json *)(uintptr_t)cox_json_get(into, cox_str_of(list));
	if (!have)
		have = cox_json_set(arena, into, cox_str_of(list), cox_json_new_array(arena));
	for (size_t i = 0; more && more->type == COX_JSON_ARRAY && i < more->n; i++) {
		if (has_name(have, cox_json_str_at(&more->items[i], "name")))
			continue;
		struct cox_json *added = cox_json_push(arena, have, &more->items[i]);
		struct cox_json *entry = (struct cox_json *)(uintptr_t)cox_json_get(added, cox_str_of(inner));
		if (entry && entry->type == COX_JSON_OBJECT)
			paths_complete(arena, entry, dir);
	}
}

static enum cox_rc file_merge(struct cox_arena *arena, struct cox_json *into, struct cox_str path, struct cox_err *err)
{
	struct cox_buf text = { 0 };
	struct cox_json *root = NULL;
	int second_line;
	char name[4096];
	enum cox_rc rc = cox_kube_file_read(cox_str_to_cstr(path, name, sizeof(name)), &text, err);
	if (rc == COX_OK)
		rc = cox_yaml_one(arena, cox_arena_str(arena, cox_buf_str(&text)), COX_KUBE_FILE_BYTES_MAX, &root, &second_line, err);
	if (rc == COX_OK && root && root->type == COX_JSON_OBJECT) {
		struct cox_str dir = cox_arena_str(arena, cox_str_sub(path, 0, (size_t)(cox_str_rfind(path, '/') + 1)));
		struct cox_str current = cox_json_str_at(root, "current-context");
		list_merge(arena, into, root, "clusters", "cluster", dir);
		list_merge(arena, into, root, "users", "user", dir);
		list_merge(arena, into, root, "contexts", "context", dir);
		if (current.n && !cox_json_get(into, COX_STR("current-context")))
			cox_json_set(arena, into, COX_STR("current-context"), cox_json_new_str(arena, current));
	}
	if (text.n)
		explicit_bzero(text.p, text.n);
	cox_buf_fini(&text);
	return rc;
}

enum cox_rc cox_cluster_config_merge(struct cox_str paths, struct cox_str context, struct cox_kube_config *out, struct cox_err *err)
{
	struct cox_arena arena = { 0 };
	struct cox_json *all = cox_json_new_object(&arena);
	struct cox_str rest = paths, path, first = { 0 };
	struct cox_err own = { 0 };
	size_t found = 0;
	enum cox_rc rc = COX_OK;
	char name[4096];
	while (rc == COX_OK && cox_str_next(&rest, ':', &path)) {
		if (path.n == 0)
			continue;
		if (first.n == 0)
			first = path;
		rc = file_merge(&arena, all, path, &own);
		found += rc == COX_OK;
		if (rc == COX_ENOTFOUND)
			rc = COX_OK; /* as kubectl */
	}
	if (rc != COX_OK && err)
		*err = own;
	if (rc == COX_OK && found == 0)
		rc = cox_err_set(err, COX_ENOTFOUND, NULL, "KUBECONFIG: %.*s: there is no such file", COX_FMT(first));
	if (rc == COX_OK) {
		struct cox_buf text = { 0 };
		cox_json_write(&text, all, 0, false);
		rc = cox_kube_config_parse(
		    out, cox_buf_str(&text),
		    cox_str_to_cstr(cox_str_find(paths, ':') < 0 ? first : COX_STR("KUBECONFIG"), name, sizeof(name)), context, err);
		explicit_bzero(text.p, text.n);
		cox_buf_fini(&text);
	}
	cox_arena_fini(&arena);
	return rc;
}
