# SPDX-License-Identifier: GPL-2.0-only
#
# ptfree: page-table budgets and empty page-table reclaim for control groups.
# `make` or `make help` lists the targets.

BUILD ?= $(CURDIR)/build
override BUILD := $(abspath $(BUILD))
export BUILD

TESTS ?= $(sort $(wildcard tests/[0-9]*.t))
export KSRC SOURCE_VERSION PATCH COMPILE SCENES JOBS TESTS PEER BENCH_GIB

# One step after another: each of them uses all processors by itself.
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

.PHONY: help
help: ## this list
	@echo "Targets:"
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | \
		awk -F'\t' '{ printf "  %-14s %s\n", $$1, $$2 }'
	@echo "Variables: BUILD=DIR, SOURCE_VERSION=6.12.y-Z or KSRC=DIR (your own 6.12.y tree), JOBS=N, CC=..."

.PHONY: deps-tree deps-build deps-vm
deps-tree:
	@scripts/deps tree
deps-build:
	@scripts/deps tree build
deps-vm:
	@scripts/deps tree build vm

.PHONY: tree
tree: deps-tree ## lay build/tree: pristine source, our patches, links to our new files
	@scripts/tree lay

.PHONY: refresh
refresh: deps-tree ## write edits and commits made in build/tree back into the patches (PATCH=NAME: into that one)
	@scripts/tree refresh

.PHONY: series
series: deps-tree ## export the mailable series to build/series, checked by checkpatch (COMPILE=1: and compiled step by step)
	@scripts/deps series $(if $(filter 1,$(COMPILE)),build)
	@scripts/tree series

.PHONY: kernel
kernel: deps-build tree ## build the lean kernel, seconds after an edit
	@scripts/kernel lean

.PHONY: kernel-debug
kernel-debug: deps-build tree ## build the debug kernel (KASAN, lockdep, ...)
	@scripts/kernel debug

.PHONY: stock
stock: deps-vm ## download Debian's own kernel to compare with
	@scripts/stock

.PHONY: guest
guest: deps-build tree ## compile the test programs of tests/ for the virtual machine
	@scripts/guest-tests

.PHONY: tools
tools: ## build what goes around the kernel: ptfree-systemd and ptfree, installed below build/systemd/root and build/tools/root
	@scripts/deps tools
	@$(MAKE) --silent -C tools/cgroup O="$(BUILD)/tools/cgroup" DESTDIR="$(BUILD)/tools/root" install
	@$(MAKE) --silent -C tools/systemd O="$(BUILD)/systemd/obj" DESTDIR="$(BUILD)/systemd/root" install

.PHONY: shell
shell: deps-vm kernel guest ## a prompt inside the virtual machine (KERNEL=FILE, APPEND=..., MEM=2G; leave with Ctrl-A X)
	@scripts/vm --interactive $(if $(KERNEL),--kernel "$(KERNEL)") --mem $(or $(MEM),2G) \
		--append "$(APPEND)" \
		$(foreach p,$(notdir $(wildcard $(BUILD)/guest/*)),--put $(BUILD)/guest/$(p):tests/$(p))

.PHONY: demo
demo: deps-vm ## what ptfree does for known programs, against Debian's own kernel (SCENES="redis jemalloc": only those)
	@scripts/deps demo image tools
	@$(MAKE) kernel stock
	@demo/run $(SCENES)

.PHONY: check
check: deps-vm ## build what is needed and run every test in the virtual machine (TESTS=tests/20-*.t: only those)
	@scripts/deps check series image deb
	@$(MAKE) kernel kernel-debug guest stock tools
	@scripts/image >/dev/null
	@scripts/check-full --stale
	@# Two tests at a time, if several are run: tests/lanes.yml. What a test says comes in
	@# one piece then, when it has ended.
	@HARNESS_RULESFILE=tests/lanes.yml prove --verbose --timer --failures \
		$(if $(word 2,$(TESTS)),--jobs 2 --formatter TAP::Formatter::File) $(TESTS)

.PHONY: check-full
check-full: ## the long parts of the proof, one at a time: PART=configs; verdicts go to tests/RESULTS.md
	@scripts/check-full $(PART)

.PHONY: bench
bench: deps-vm tree guest ## what it costs, against a stock kernel: bench/REPORT.md (PARTS="hot engine": only those; PEER=DIR: a third kernel)
	@scripts/deps bench
	@bench/kernels
	@bench/run --kernel "$(BUILD)/bench-ptfree/arch/x86/boot/bzImage" \
		$(if $(PEER),--peer "$(BUILD)/bench-peer/arch/x86/boot/bzImage") $(PARTS)

.PHONY: deb
deb: ## packages in build/packages: ptfree and ptfree-dev; with KERNEL=lean|cloud|own the kernel as well
	@scripts/deps deb tools
	@scripts/deb
	@$(if $(KERNEL),$(MAKE) deb-kernel,echo "deb: the kernel's package: make deb KERNEL=lean|cloud|own")

.PHONY: deb-kernel
deb-kernel: deps-build tree ## the kernel as packages (KERNEL=lean, cloud or own)
	@scripts/deps deb
	@scripts/deb $(KERNEL)

.PHONY: clean
clean: ## remove build, but for downloaded packages
	@scripts/clean
