# The generated half of this module: from the tables to $(BUILD)/gen/envoy (hack/gen-envoy.awk, plain awk).
envoy_GEN      := $(BUILD)/gen/envoy
envoy_TABLES   := lib/envoy/envoy_api.table lib/envoy/extra_api.table
envoy_GEN_OBJS := $(BUILD)/obj/gen/envoy/envoy_table.o

# One run makes all files; the stamp is the newest of them. A new folder first, so that a broken run leaves nothing half made.
$(envoy_GEN)/.stamp: $(envoy_TABLES) hack/gen-envoy.awk
	@echo "GEN $(envoy_GEN)"
	@rm -rf $(envoy_GEN).new && mkdir -p $(envoy_GEN).new $(envoy_GEN)
	@LC_ALL=C awk -v out=$(envoy_GEN).new -f hack/gen-envoy.awk $(envoy_TABLES)
	@cd $(envoy_GEN).new && for f in *; do cmp -s $$f ../envoy/$$f || mv $$f ../envoy/$$f; done
	@rm -rf $(envoy_GEN).new
	@touch $@
$(envoy_GEN)/envoy_table.c: $(envoy_GEN)/.stamp ;

$(BUILD)/obj/gen/envoy/%.o: $(BUILD)/gen/envoy/%.c
	@mkdir -p $(@D)
	@echo "CC $<"
	@$(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

# Whatever may include a generated header waits for the generation: envoy and the modules behind it, programs, tests.
envoy_USERS := $(shell awk '!/^\#/ && ($$1 == "envoy" || on) { on = 1; print $$1 }' lib/LAYERS)
$(patsubst lib/%.c,$(BUILD)/obj/%.o,$(foreach m,$(envoy_USERS),$(wildcard lib/$(m)/*.c))) \
$(patsubst lib/%.c,$(BUILD)/obj/fuzzlib/%.o,$(foreach m,$(envoy_USERS),$(wildcard lib/$(m)/*.c))) \
$(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard cmd/*/*.c)) \
$(patsubst test/unit/%.c,$(BUILD)/obj/unit/%.o,$(foreach m,$(envoy_USERS),$(wildcard test/unit/$(m)/*.c))) \
$(patsubst test/sim/%.c,$(BUILD)/obj/sim/%.o,$(wildcard test/sim/*.c)) \
$(patsubst test/fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard test/fuzz/*_fuzz.c)): | $(envoy_GEN)/.stamp

# What test/protocol/test_transcode.py talks to; linked to what it needs only, so that the test does not wait for the rest.
$(BUILD)/unit/envoy/transcode_driver: $(BUILD)/obj/unit/envoy/transcode_driver.o $(foreach m,base codec envoy,$(call archive,$(m)))
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS_ALL) -o $@ $< -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LIBS)
