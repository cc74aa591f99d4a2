#include "agent/resolv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

static bool next_word(struct cox_str *rest, struct cox_str *word)
{
	while (rest->n && is_blank(rest->p[0]))
		*rest = cox_str_sub(*rest, 1, rest->n);
	size_t n = 0;
	while (n < rest->n && !is_blank(rest->p[n]))
		n++;
	*word = cox_str_sub(*rest, 0, n);
	*rest = cox_str_sub(*rest, n, rest->n);
	return n != 0;
}

static void add_server(struct cox_resolv *r, struct cox_str word)
{
	unsigned char bytes[16];
	char text[64];
	ptrdiff_t zone = cox_str_find(word, '%'); /* "fe80::1%eth0" is kept as written; only the address is checked */
	struct cox_str address = zone < 0 ? word : cox_str_sub(word, 0, (size_t)zone);
	if (r->server_n == COX_RESOLV_SERVERS_MAX || word.n >= sizeof(text))
		return;
	cox_str_to_cstr(address, text, sizeof(text));
	if (inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1)
		cox_str_to_cstr(word, r->servers[r->server_n++], sizeof(r->servers[0]));
}

static void set_search(struct cox_resolv *r, struct cox_str word)
{
	while (word.n && word.p[0] == '.')
		word = cox_str_sub(word, 1, word.n);
	while (word.n && word.p[word.n - 1] == '.')
		word.n--;
	if (word.n >= sizeof(r->search))
		return;
	cox_str_to_cstr(word, r->search, sizeof(r->search));
	for (char *c = r->search; *c; c++)
		*c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c;
}

static void set_option(struct cox_resolv *r, struct cox_str word)
{
	uint64_t v;
	ptrdiff_t colon = cox_str_find(word, ':');
	if (colon < 0 || cox_str_to_u64(cox_str_sub(word, (size_t)colon + 1, word.n), &v) != COX_OK)
		return;
	struct cox_str name = cox_str_sub(word, 0, (size_t)colon);
	if (cox_str_eq(name, COX_STR("timeout")))
		r->timeout_ms = (int64_t)(v < 1 ? 1 : v > 30 ? 30 : v) * 1000;
	else if (cox_str_eq(name, COX_STR("attempts")))
		r->attempts = (int)(v < 1 ? 1 : v > 5 ? 5 : v);
}

void cox_resolv_read(struct cox_str text, struct cox_resolv *out)
{
	struct cox_str rest = text, line, word;
	*out = (struct cox_resolv){ .timeout_ms = 2000, .attempts = 2 };
	while (rest.p != NULL && cox_str_next(&rest, '\n', &line)) {
		struct cox_str key;
		if (!next_word(&line, &key) || key.p[0] == '#' || key.p[0] == ';')
			continue;
		if (cox_str_eq(key, COX_STR("nameserver")) && next_word(&line, &word))
			add_server(out, word);
		else if ((cox_str_eq(key, COX_STR("search")) || cox_str_eq(key, COX_STR("domain"))) && next_word(&line, &word))
			set_search(out, word);
		else if (cox_str_eq(key, COX_STR("options")))
			while (next_word(&line, &word))
				set_option(out, word);
	}
}

enum cox_rc cox_resolv_load(const char *path, struct cox_resolv *out, struct cox_err *err)
{
	COX_AUTO(cox_buf_fini) struct cox_buf text = { 0 };
	cox_resolv_read(COX_STR(""), out);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : 0;
	while (fd >= 0 && text.n <= COX_RESOLV_TEXT_MAX && (n = read(fd, cox_buf_reserve(&text, 4096), 4096)) > 0)
		text.n += (size_t)n;
	if (fd >= 0)
		close(fd);
	if (n < 0)
		return cox_err_set(err, COX_EIO, path, "cannot be read");
	cox_resolv_read(cox_buf_str(&text), out);
	return COX_OK;
}
