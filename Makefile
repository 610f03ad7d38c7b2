# Thin front for Meson: see CONTRIBUTING.md.
BUILD ?= build

.PHONY: all deps run test bench clean
all: $(BUILD)/build.ninja
	@ninja -C $(BUILD) $(NINJA_FLAGS) hull

$(BUILD)/build.ninja: meson.build | deps
	@meson setup $(BUILD) >/dev/null || meson setup --reconfigure $(BUILD)

deps:
	@tools/install-deps

clean:
	rm -rf $(BUILD)
