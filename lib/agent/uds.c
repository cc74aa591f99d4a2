#include "agent/uds.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static enum cox_rc address_of(const char *path, struct cox_addr *out, struct cox_err *err)
{
	char text[600];
	if (strlen(path) > 500)
		return cox_err_set(err, COX_EINVAL, NULL, "the path of a socket is longer than 107 bytes");
	snprintf(text, sizeof(text), "unix:%s", path);
	enum cox_rc rc = cox_addr_parse(cox_str_of(text), out, err);
	if (rc != COX_OK)
		cox_err_wrap(err, "%s", path);
	return rc;
}

bool cox_agent_uds_is_served(const char *path)
{
	struct cox_addr addr;
	struct sockaddr_storage sa;
	socklen_t n;
	if (address_of(path, &addr, NULL) != COX_OK || cox_addr_to_sockaddr(&addr, &sa, &n) != COX_OK)
		return false;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return false;
	/* A full backlog (EAGAIN) is somebody, too. */
	bool is_served = connect(fd, (struct sockaddr *)&sa, n) == 0 || errno == EAGAIN;
	close(fd);
	return is_served;
}

static void make_parent(const char *path)
{
	char dir[sizeof(((struct sockaddr_un *)0)->sun_path)];
	const char *slash = strrchr(path, '/');
	if (!slash || slash == path)
		return;
	cox_str_to_cstr(cox_str_make(path, (size_t)(slash - path)), dir, sizeof(dir));
	mkdir(dir, 0755); /* is there, or listening will tell */
}

enum cox_rc cox_agent_uds_listen(struct cox_grpc_server *server, const char *path, struct cox_err *err)
{
	struct cox_addr addr;
	struct stat st;
	COX_TRY(address_of(path, &addr, err));
	if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
		return cox_err_set(err, COX_EINVAL, NULL, "%s is there and no socket", path);
	make_parent(path);
	mode_t old = umask(0177);
	enum cox_rc rc = cox_grpc_server_listen(server, &addr, NULL, 0, NULL, err);
	umask(old);
	return rc;
}
