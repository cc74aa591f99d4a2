/* The stores that need no network: none at all, and a directory. */
#include "ca/store_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

const char *cox_ca_object_name_(enum cox_ca_object o)
{
	static const char *const names[] = { "istio-ca-secret", "coxswain-ca-state", "cacerts", "istio" };
	return names[o];
}

/* --- answers that come later ---------------------------------------------------------------------------- */

struct answer {
	struct cox_loop_task task;
	struct cox_ca_store_ *store;
	enum cox_ca_object object;
	bool is_save;
	enum cox_rc rc;
	struct cox_err err;
	bool has_entries;
	struct cox_ca_entries entries;
};

static void deliver(struct cox_loop_task *task)
{
	struct answer *a = (struct answer *)task;
	const struct cox_ca_store_cb *cb = &a->store->cb;
	if (a->is_save)
		cb->on_saved(cb->ctx, a->object, a->rc, &a->err);
	else if (a->rc != COX_OK)
		cb->on_fault(cb->ctx, &a->err);
	else
		cb->on_object(cb->ctx, a->object, a->has_entries ? &a->entries : NULL);
	cox_ca_entries_fini_(&a->entries);
	cox_free(a);
}

static struct answer *answer_new(struct cox_ca_store_ *s, enum cox_ca_object o, bool is_save)
{
	struct answer *a = COX_NEW(struct answer);
	a->task.fn = deliver;
	a->store = s;
	a->object = o;
	a->is_save = is_save;
	return a;
}

/* --- memory ------------------------------------------------------------------------------------------------ */

static void memory_save(struct cox_ca_store_ *s, enum cox_ca_object o, const struct cox_ca_entries *entries)
{
	(void)entries; /* the keeper has it */
	cox_loop_post(s->loop, &answer_new(s, o, true)->task);
}

struct cox_ca_store_ *cox_ca_store_memory_(struct cox_loop *loop, const struct cox_ca_store_cb *cb)
{
	static const struct cox_ca_store_ops_ ops = { memory_save };
	struct cox_ca_store_ *s = COX_NEW(struct cox_ca_store_);
	*s = (struct cox_ca_store_){ &ops, *cb, loop };
	for (int o = 0; o < COX_CA_OBJECTS; o++)
		cox_loop_post(loop, &answer_new(s, (enum cox_ca_object)o, false)->task);
	return s;
}

/* --- directory ----------------------------------------------------------------------------------------------- */

struct dir_store {
	struct cox_ca_store_ head;
	struct cox_buf dir; /* terminated */
};

static const char *const file_names[] = { "ca-cert.pem", "ca-key.pem", "cert-chain.pem", "key.pem", "root-cert.pem",
	                                  "ca-crl.pem",  "tls.crt",    "tls.key",        "ca.crt" };

static bool is_wanted(const char *name)
{
	for (size_t i = 0; i < COX_LEN(file_names); i++)
		if (!strcmp(name, file_names[i]))
			return true;
	return !strncmp(name, "coxswain-", 9);
}

static enum cox_rc read_file(int dir_fd, const char *dir, const char *name, struct cox_buf *out, struct cox_err *err)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct stat st;
	ssize_t n = 0;
	if (fd < 0)
		return errno == ENOENT ? COX_ENOTFOUND : cox_err_set(err, COX_EIO, NULL, "%s/%s cannot be opened", dir, name);
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > COX_CERT_PEM_BYTES_MAX) {
		close(fd);
		return cox_err_set(err, COX_EINVAL, NULL, "%s/%s is no regular file of at most %d bytes", dir, name,
		                   COX_CERT_PEM_BYTES_MAX);
	}
	size_t want = (size_t)st.st_size;
	cox_buf_reserve(out, want + 1);
	while (want && (n = read(fd, out->p + out->n, want)) > 0) {
		out->n += (size_t)n;
		want -= (size_t)n;
	}
	close(fd);
	return n < 0 ? cox_err_set(err, COX_EIO, NULL, "%s/%s cannot be read", dir, name) : COX_OK;
}

enum cox_rc cox_ca_dir_read_(const char *dir, struct cox_ca_entries *out, struct cox_err *err)
{
	DIR *d = opendir(dir);
	enum cox_rc rc = COX_OK;
	struct dirent *e;
	if (!d)
		return errno == ENOENT || errno == ENOTDIR ? COX_ENOTFOUND : cox_err_set(err, COX_EIO, NULL, "%s cannot be opened", dir);
	while (rc == COX_OK && (e = readdir(d)))
		if (is_wanted(e->d_name) && strlen(e->d_name) < sizeof(out->p->name)) {
			rc = read_file(dirfd(d), dir, e->d_name, cox_ca_entries_add_(out, e->d_name), err);
			if (rc == COX_ENOTFOUND) { /* gone between the two calls */
				rc = COX_OK;
				out->n--;
			}
		}
	closedir(d);
	return rc;
}

static enum cox_rc write_file(int dir_fd, const struct cox_ca_entry *e)
{
	int fd = openat(dir_fd, e->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	size_t done = 0;
	ssize_t n = 0;
	if (fd < 0)
		return COX_EIO;
	while (done < e->value.n && (n = write(fd, e->value.p + done, e->value.n - done)) > 0)
		done += (size_t)n;
	bool ok = done == e->value.n && fsync(fd) == 0;
	return close(fd) == 0 && ok ? COX_OK : COX_EIO;
}

static void remove_dir(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	if (!d)
		return;
	while ((e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			unlinkat(dirfd(d), e->d_name, 0);
	closedir(d);
	rmdir(path);
}

static void sync_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		(void)fsync(fd);
		close(fd);
	}
}

/* A whole directory is exchanged for the old one: a crash leaves the old set or the new one, never a key without its certificate. */
static enum cox_rc replace_dir(const char *dir, const char *name, const struct cox_ca_entries *entries, struct cox_err *err)
{
	char path[1024], fresh[1024];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	snprintf(fresh, sizeof(fresh), "%s/.%s.%d", dir, name, (int)getpid());
	remove_dir(fresh);
	if (mkdir(fresh, 0700) != 0)
		return cox_err_set(err, COX_EIO, NULL, "%s cannot be made", fresh);
	int fd = open(fresh, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	enum cox_rc rc = fd >= 0 ? COX_OK : COX_EIO;
	for (size_t i = 0; rc == COX_OK && i < entries->n; i++)
		rc = write_file(fd, &entries->p[i]);
	if (fd >= 0) {
		(void)fsync(fd);
		close(fd);
	}
	if (rc == COX_OK && renameat2(AT_FDCWD, fresh, AT_FDCWD, path, RENAME_NOREPLACE) != 0 &&
	    renameat2(AT_FDCWD, fresh, AT_FDCWD, path, RENAME_EXCHANGE) != 0)
		rc = COX_EIO;
	remove_dir(fresh);
	sync_dir(dir);
	return rc == COX_OK ? COX_OK : cox_err_set(err, rc, NULL, "%s cannot be written", path);
}

static void dir_save(struct cox_ca_store_ *head, enum cox_ca_object o, const struct cox_ca_entries *entries)
{
	struct dir_store *s = (struct dir_store *)head;
	struct answer *a = answer_new(head, o, true);
	char path[1024];
	if (entries) {
		a->rc = replace_dir(s->dir.p, cox_ca_object_name_(o), entries, &a->err);
	} else {
		snprintf(path, sizeof(path), "%s/%s", s->dir.p, cox_ca_object_name_(o));
		remove_dir(path);
	}
	cox_loop_post(head->loop, &a->task);
}

enum cox_rc cox_ca_store_dir_(struct cox_loop *loop, const char *dir, const struct cox_ca_store_cb *cb, struct cox_ca_store_ **out,
                              struct cox_err *err)
{
	static const struct cox_ca_store_ops_ ops = { dir_save };
	char path[1024];
	if (mkdir(dir, 0700) != 0 && errno != EEXIST)
		return cox_err_set(err, COX_EIO, NULL, "the CA's directory %s cannot be made", dir);
	/* Two control planes on one directory would make two roots: the second one does not start. The lock goes with the process. */
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0) {
		if (fd >= 0)
			close(fd);
		return cox_err_set(err, COX_EEXIST, NULL, "the CA's directory %s is in use by another process, or cannot be opened", dir);
	}
	struct dir_store *s = COX_NEW(struct dir_store);
	s->head = (struct cox_ca_store_){ &ops, *cb, loop };
	cox_buf_append_cstr(&s->dir, dir);
	cox_buf_cstr(&s->dir);
	for (int o = 0; o < COX_CA_OBJECTS; o++) {
		struct answer *a = answer_new(&s->head, (enum cox_ca_object)o, false);
		snprintf(path, sizeof(path), "%s/%s", dir, cox_ca_object_name_((enum cox_ca_object)o));
		if (o == COX_CA_OBJECT_ROOT || o == COX_CA_OBJECT_PLUGGED)
			a->rc = cox_ca_dir_read_(path, &a->entries, &a->err);
		a->has_entries = a->rc == COX_OK && a->entries.n;
		if (a->rc == COX_ENOTFOUND)
			a->rc = COX_OK;
		cox_loop_post(loop, &a->task);
	}
	*out = &s->head;
	return COX_OK;
}
