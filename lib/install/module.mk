# The charts and profiles as text in the program, so that one binary installs: one C array for all files below manifests/{charts,profiles}.
install_FILES    := $(shell find -L manifests/charts manifests/profiles -type f '(' -name '*.yaml' -o -name '*.tpl' -o -name '*.json' ')' | LC_ALL=C sort)
install_GEN_OBJS := $(BUILD)/obj/gen/install/files.o
$(BUILD)/gen/install/files.c: $(install_FILES) lib/install/module.mk
	@mkdir -p $(@D)
	@echo "GEN $@"
	@{ echo '#include "install/files_priv.h"'; echo 'const struct install_text install_texts[] = {'; \
	for f in $(install_FILES); do echo "{ \"$${f#manifests/}\","; sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/.*/"&\\n"/' $$f; echo '},'; done; \
	echo '{ 0, 0 } };'; } >$@.new && mv $@.new $@
$(BUILD)/obj/gen/install/%.o: $(BUILD)/gen/install/%.c
	@mkdir -p $(@D)
	@echo "CC $<"
	@$(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@
