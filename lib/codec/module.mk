# jansson is only the judge of one unit test.
$(BUILD)/unit/codec/jansson_test: LIBS += -ljansson
