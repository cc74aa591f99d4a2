/* files - the texts that the Makefile puts into the program (module.mk). */
#ifndef COX_INSTALL_FILES_PRIV_H
#define COX_INSTALL_FILES_PRIV_H

struct install_text {
	const char *path, *text; /* "charts/istiod/values.yaml" */
};
/* In the order of paths, ended by NULL. */
extern const struct install_text install_texts[];

#endif
