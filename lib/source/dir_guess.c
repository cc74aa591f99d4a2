#include "source/dir_guess.h"

#include <string.h>

enum { GUESS_BYTES_MAX = 64 * 1024 }; /* who an object is stands at its head; a broken one may be large */

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c != '\0' && strchr("-._/", c));
}

static bool is_blank_char(char c) { return c == ' ' || c == '\t' || c == '"' || c == '\''; }

/* What stands behind `key` and a colon, the first time that it is a key. */
static struct cox_str value_of(struct cox_str text, const char *key)
{
	size_t n = strlen(key);
	for (size_t i = 0; i + n < text.n; i++) {
		if (memcmp(text.p + i, key, n) != 0 || (i > 0 && is_name_char(text.p[i - 1])))
			continue;
		size_t at = i + n;
		while (at < text.n && is_blank_char(text.p[at]))
			at++;
		if (at == text.n || text.p[at] != ':')
			continue;
		at++;
		while (at < text.n && is_blank_char(text.p[at]))
			at++;
		size_t end = at;
		while (end < text.n && is_name_char(text.p[end]))
			end++;
		return cox_str_sub(text, at, end - at);
	}
	return COX_STR("");
}

/* From "metadata" on. Labels and annotations may have a "name" of their own, but people write the object's first. */
static struct cox_str metadata(struct cox_str text)
{
	static const char word[] = "metadata";
	for (size_t i = 0; i + sizeof(word) < text.n; i++)
		if (memcmp(text.p + i, word, sizeof(word) - 1) == 0)
			return cox_str_sub(text, i + sizeof(word) - 1, text.n);
	return COX_STR("");
}

struct cox_dir_guess cox_dir_guess_object(struct cox_str text)
{
	text = cox_str_sub(text, 0, GUESS_BYTES_MAX);
	struct cox_str meta = metadata(text);
	return (struct cox_dir_guess){
		.api_version = value_of(text, "apiVersion"),
		.kind = value_of(text, "kind"),
		.ns = value_of(meta, "namespace"),
		.name = value_of(meta, "name"),
	};
}
