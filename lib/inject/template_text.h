/* template_text - the generated texts of lib/inject/templates: name and YAML, ended by a NULL name. */
#ifndef COX_INJECT_TEMPLATE_TEXT_H
#define COX_INJECT_TEMPLATE_TEXT_H

struct inject_template_text {
	const char *name, *yaml;
};
extern const struct inject_template_text inject_template_texts[];

#endif
