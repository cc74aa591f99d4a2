#include "verbs.h"

#include "tool/crd.h"

#include <stdio.h>
#include <string.h>

int coxctl_crd(int argc, char **argv)
{
	struct cox_err err = { 0 };
	char text[700];
	bool helps = coxctl_wants_help(argc, argv);
	if (helps || argc != 4 || strcmp(argv[1], "generate") != 0 || strcmp(argv[2], "--out") != 0) {
		fputs("usage: coxctl crd generate --out DIR\n", helps ? stdout : stderr);
		return helps ? 0 : 2;
	}
	if (cox_tool_crd_write_all(argv[3], &err) == COX_OK)
		return 0;
	fprintf(stderr, "coxctl: %s\n", cox_err_describe(&err, text, sizeof(text)));
	return 1;
}
