# The native templates, as text in the program: one C array a file.
inject_TEMPLATES := $(wildcard lib/inject/templates/*.yaml)
inject_GEN_OBJS  := $(BUILD)/obj/gen/inject/templates.o
$(BUILD)/gen/inject/templates.c: $(inject_TEMPLATES) lib/inject/module.mk
	@mkdir -p $(@D)
	@echo "GEN $@"
	@{ echo '#include "inject/template_text.h"'; echo 'const struct inject_template_text inject_template_texts[] = {'; \
	for f in $(inject_TEMPLATES); do echo "{ \"$$(basename $$f .yaml)\","; sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/.*/"&\\n"/' $$f; echo '},'; done; \
	echo '{ 0, 0 } };'; } >$@.new && mv $@.new $@
$(BUILD)/obj/gen/inject/%.o: $(BUILD)/gen/inject/%.c
	@mkdir -p $(@D)
	@echo "CC $<"
	@$(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@
