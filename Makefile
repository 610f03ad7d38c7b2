# Thin front for Meson: see CONTRIBUTING.md.
BUILD ?= build
ASAN_BUILD ?= build-asan
TSAN_BUILD ?= build-tsan
# More options for tests/run, for instance make test TESTS='--suite abi -k fork'.
TESTS ?=

.PHONY: all deps run run-deps install test bench asan asan-build tsan fuzz fuzz-deps test-deps bench-deps clean
all: $(BUILD)/build.ninja
	@ninja -C $(BUILD) $(NINJA_FLAGS) hull

$(BUILD)/build.ninja: meson.build | deps
	@meson setup $(BUILD) >/dev/null || meson setup --reconfigure $(BUILD)

$(ASAN_BUILD)/build.ninja: meson.build | deps
	@meson setup $(ASAN_BUILD) -Db_sanitize=address,undefined -Db_lundef=false >/dev/null

$(TSAN_BUILD)/build.ninja: meson.build | deps
	@meson setup $(TSAN_BUILD) -Db_sanitize=thread -Db_lundef=false >/dev/null

deps:
	@tools/install-deps

test-deps:
	@tools/install-deps python3 runc debootstrap musl-tools procps

bench-deps:
	@tools/install-deps python3 runc crun debootstrap

# A newcomer's first look: their own tools on Hull's kernel.
run: run-deps all
	@tools/run-demo $(BUILD)/hull

run-deps:
	@tools/install-deps procps

install: all
	@meson install -C $(BUILD) --no-rebuild

# Everything on the plain build, then what runs on the sentry once more with AddressSanitizer and UBSan.
test: test-deps all asan-build
	@ninja -C $(BUILD) $(NINJA_FLAGS) test-programs
	@tests/run --build $(BUILD) --asan-build $(ASAN_BUILD) --variant plain --variant asan $(TESTS)

# The second half alone.
asan: test-deps all asan-build
	@ninja -C $(BUILD) $(NINJA_FLAGS) test-programs
	@tests/run --build $(BUILD) --asan-build $(ASAN_BUILD) --log $(ASAN_BUILD)/test-log --variant asan $(TESTS)

asan-build: $(ASAN_BUILD)/build.ninja
	@ninja -C $(ASAN_BUILD) $(NINJA_FLAGS) hull

# Each fuzzer for FUZZ_SECONDS (default 30).
fuzz: fuzz-deps
	@fuzz/run

fuzz-deps:
	@tools/install-deps clang libclang-rt-14-dev

# The threaded core under ThreadSanitizer, which ends the sentry at the first data race.
tsan: test-deps all $(TSAN_BUILD)/build.ninja
	@ninja -C $(BUILD) $(NINJA_FLAGS) test-programs
	@ninja -C $(TSAN_BUILD) $(NINJA_FLAGS) hull
	@tests/run --build $(BUILD) --hull $(TSAN_BUILD)/hull --log $(TSAN_BUILD)/test-log --slow 8 \
		--suite abi --platform systrap $(TESTS)

bench: bench-deps all
	@ninja -C $(BUILD) $(NINJA_FLAGS) bench-programs
	@bench/run --build $(BUILD) $(BENCH)

clean:
	rm -rf $(BUILD) $(ASAN_BUILD) $(TSAN_BUILD)
