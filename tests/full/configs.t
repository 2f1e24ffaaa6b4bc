#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# covers: mm :!mm/freept_kunit* include patches/linux-6.12 configs/lean.config tests/21-stock.t
# needs: build vm series
#
# The parts of the kernel that the series touches compile without a warning, with
# the feature on and off and with what it builds upon switched off. gcc with W=1 and
# sparse have nothing to say of our files in any of these configurations. The kernel
# with the feature off is made whole, boots, and is what a stock one is to the tests
# that know one.
set -u

cd "$(dirname "$0")/../.." || exit 1
BUILD=${BUILD:-$PWD/build}
export BUILD
OFF="# CONFIG_FREEPT is not set"
n=0

result() {	# result STATUS TEXT
	n=$((n + 1))
	if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; fi
}

# What the patches change, and those who use the headers that they change most
objects() { printf '%s\n' "$@" | sed 's/c$/o/' | tr '\n' ' '; }
engine=$(objects mm/freept.c mm/freept_[!dk]*.c)	# neither debug nor kunit
budgets=$(objects mm/memcontrol-*.c)
always="mm/memory.o mm/mremap.o mm/filemap.o mm/pgtable-generic.o mm/userfaultfd.o
	mm/page_vma_mapped.o mm/vmscan.o mm/vmstat.o mm/madvise.o mm/mmap.o mm/rmap.o
	mm/gup.o mm/mlock.o mm/oom_kill.o kernel/cgroup/cgroup.o
	kernel/fork.o kernel/exit.o kernel/sys.o fs/userfaultfd.o kernel/sched/core.o arch/x86/mm/tlb.o fs/proc/task_mmu.o"
thp="mm/khugepaged.o mm/huge_memory.o"

log=
make_some() {	# make_some NAME CONFIG-LINES TARGETS KFLAGS: what make says is in $log
	log=$BUILD/log/kernel-config-$1.log
	rm -f "$log"
	EXTRA_CONFIG=$2 TARGETS=$3 KFLAGS=$4 scripts/kernel "config-$1" 2>&1 | sed -u "s/^/# /"
}

says() {	# says PATTERN: does the log? It is shown.
	grep -E "$1" "$log" | sed -u "s/^/# /" | grep .
}

# What has had a warning is made again by the next run: it would be silent there.
quiet() {	# quiet NAME
	! says 'warning|rror:|\*\*\*' && return
	if grep -q warning "$log"; then rm -rf "$BUILD/config-$1"; fi
	return 1
}

compiles() {	# compiles NAME TEXT CONFIG-LINES OUR-OBJECTS MORE-OBJECTS
	rm -f "$BUILD/config-$1/mm/memory.o"
	make_some "$1" "$3" "$always $4 ${5:-}" ""
	[ -f "$BUILD/config-$1/mm/memory.o" ] && quiet "$1"
	result $? "compiles without a warning: $2"
	[ -z "$4" ] || checks "$1" "$2" "$3" "$4"
}

# Of files that are not ours, both have something to say on any kernel.
checks() {	# checks NAME TEXT CONFIG-LINES OBJECTS
	make_some "$1" "$3" "$4" "W=1 C=2 CHECK=sparse"
	bad=0
	says '\b(freept|memcontrol-pt)[a-z_-]*\.[ch]:[0-9].*(warning|rror:)|\*\*\*' && bad=1
	for object in $4; do
		grep -q "^  CHECK .*/${object%o}c\$" "$log" && continue
		echo "# sparse has not looked at ${object%o}c"
		bad=1
	done
	result $bad "W=1 and sparse have nothing to say of our files: $2"
}

links() {	# links NAME TEXT CONFIG-LINES
	rm -f "$BUILD/config-$1/arch/x86/boot/bzImage"
	make_some "$1" "$3" bzImage ""
	[ -f "$BUILD/config-$1/arch/x86/boot/bzImage" ] && quiet "$1"
	result $? "the whole kernel compiles without a warning, and links: $2"
}

configurations() {
	echo "TAP version 13"
	compiles on "feature on" "" "$engine $budgets" "mm/memcontrol.o $thp"
	compiles off "feature off" "$OFF" "" "$thp mm/memcontrol.o"
	# None of our files is compiled; these include our headers.
	checks off "headers, feature off" "$OFF" "kernel/fork.o kernel/sys.o mm/madvise.o"
	compiles no-budgets "without budgets" "# CONFIG_MEMCG_PTFREE is not set" \
		"$engine" "$thp mm/memcontrol.o"
	! (cd "$BUILD/config-no-budgets" && nm mm/*.o kernel/fork.o) | grep memcg_pt
	result $? "without budgets: no symbol of them is left"
	compiles no-thp "without huge pages" "# CONFIG_TRANSPARENT_HUGEPAGE is not set" \
		"$engine $budgets" mm/memcontrol.o
	compiles no-memcg "without memory cgroups" "# CONFIG_MEMCG is not set" "$engine" "$thp"
	compiles no-smp "without SMP" "# CONFIG_SMP is not set" "$engine $budgets" \
		"mm/memcontrol.o $thp"
	compiles no-split "without split page-table locks" "CONFIG_NR_CPUS=2" \
		"$engine $budgets" "mm/memcontrol.o $thp"
	! grep -q SPLIT_PTE_PTLOCKS=y "$BUILD/config-no-split/.config"
	result $? "the configuration without split locks has none"
	compiles ia32 "with 32-bit programs, whose vDSO sees words of 32 bits" \
		"CONFIG_IA32_EMULATION=y" "$engine $budgets" \
		"mm/memcontrol.o $thp arch/x86/entry/vdso/"
	grep -q CONFIG_IA32_EMULATION=y "$BUILD/config-ia32/.config"
	result $? "the configuration for 32-bit programs has them"
	compiles rt "with PREEMPT_RT" "# CONFIG_PREEMPT_VOLUNTARY is not set
CONFIG_PREEMPT_RT=y" "$engine $budgets" mm/memcontrol.o	# it has no huge pages
	grep -q CONFIG_PREEMPT_RT=y "$BUILD/config-rt/.config"
	result $? "the configuration with PREEMPT_RT has it"
}

# Last, as it takes longest: if this is stopped, the next run links what is there.
whole_kernel() {
	links off "feature off" "$OFF"
	map=$BUILD/config-off/System.map
	[ -s "$map" ] && ! grep -E 'freept|memcg_pt' "$map"
	result $? "feature off: no symbol of it is left"
	[ -f "$BUILD/config-off/arch/x86/boot/bzImage" ] || return
	KERNEL=config-off tests/21-stock.t || echo "@failed"
	tests/run --kernel config-off "cgfiles --expect-stock --expect-absent -t no_files" ||
		echo "@failed"
	# As tests/44-pressure.t has it for Debian's kernel
	tests/run --kernel config-off --append=ramdisk_size=524288 --mem=1G \
		"pressure --expect-stock" || echo "@failed"
}

scripts/tree lay >&2 || exit 1
scripts/guest-tests >&2 || exit 1
{
	configurations
	whole_kernel
} | awk -f tests/one-stream.awk
