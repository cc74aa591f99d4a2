/* coxswaind - the control plane. `coxswaind discovery` runs it; see flags.c for flags and stages.c for its parts. */
#include "stages.h"
#include "env.h"
#include "env.h"

#include "base/fault.h"
#include "base/log.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int usage(int rc)
{
	fputs("usage: coxswaind discovery [FLAGS]   run the control plane (--help lists the flags)\n"
	      "       coxswaind --help-env          environment variables\n"
	      "       coxswaind version\n",
	      rc ? stderr : stdout);
	return rc;
}

static int discovery(int argc, char **argv)
{
	struct flags flags;
	struct cox_err err = { 0 };
	struct daemon *d;
	char text[640];
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			flags_print();
			return 0;
		} else if (!strcmp(argv[i], "--help-env")) {
			env_print();
			return 0;
		}
	if (flags_parse(argc, argv, &flags, &err) != COX_OK) {
		fprintf(stderr, "coxswaind: %s\n", cox_err_describe(&err, text, sizeof(text)));
		return 2;
	}
	if (flags.log_levels && cox_log_set_levels(cox_str_of(flags.log_levels)) != COX_OK) {
		fprintf(stderr, "coxswaind: --log_output_level: \"%s\" is not a list of [module:]level\n", flags.log_levels);
		return 2;
	}
	cox_log_set_json(flags.log_json);
	env_report();
	/* Freed memory goes back to the system early: arenas come and go in large pieces, and threads share what they free. */
	mallopt(M_ARENA_MAX, 2);
	mallopt(M_TRIM_THRESHOLD, 256 * 1024);
	mallopt(M_MMAP_THRESHOLD, 256 * 1024);
	if (daemon_start(&flags, &d, &err) != COX_OK) {
		fprintf(stderr, "coxswaind: %s\n", cox_err_describe(&err, text, sizeof(text)));
		return 1;
	}
	int status = daemon_run(d);
	daemon_free(d);
	return status;
}

int main(int argc, char **argv)
{
	const char *faults = env_given(ENV_COXSWAIN_FAULTS);
	if (faults && cox_fault_set(cox_str_of(faults)) != COX_OK) {
		fprintf(stderr, "coxswaind: COXSWAIN_FAULTS: \"%s\" is not name:N[+],...\n", faults);
		return 2;
	}
	if (argc >= 2 && !strcmp(argv[1], "discovery"))
		return discovery(argc - 1, argv + 1);
	if (argc >= 2 && !strcmp(argv[1], "version")) {
		puts(COX_VERSION);
		return 0;
	}
	if (argc >= 2 && !strcmp(argv[1], "--help-env")) {
		env_print();
		return 0;
	}
	return usage(argc >= 2 && !strcmp(argv[1], "--help") ? 0 : 2);
}
