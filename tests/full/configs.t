#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# covers: mm include patches/linux-6.12 configs
# needs: build series
#
# The parts of the kernel that the series touches compile without a warning, with
# the feature on and off and with what it builds upon switched off.
set -u

cd "$(dirname "$0")/../.." || exit 1
BUILD=${BUILD:-$PWD/build}
export BUILD
n=0

result() {	# result STATUS TEXT
	n=$((n + 1))
	if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; fi
}

# What the patches change, and those who use the headers that they change most
objects() { printf '%s\n' "$@" | sed 's/c$/o/' | tr '\n' ' '; }
engine=$(objects mm/freept.c mm/freept_[!dk]*.c)	# neither debug nor kunit
budgets="$(objects mm/memcontrol-*.c) mm/memcontrol.o"
always="mm/memory.o mm/mremap.o mm/filemap.o mm/pgtable-generic.o mm/userfaultfd.o
	mm/page_vma_mapped.o mm/vmscan.o mm/vmstat.o mm/madvise.o mm/mmap.o mm/rmap.o
	mm/gup.o mm/mlock.o mm/oom_kill.o kernel/cgroup/cgroup.o
	kernel/fork.o kernel/exit.o kernel/sys.o fs/userfaultfd.o kernel/sched/core.o arch/x86/mm/tlb.o fs/proc/task_mmu.o"
thp="mm/khugepaged.o mm/huge_memory.o"

compiles() {	# compiles NAME TEXT CONFIG-LINES MORE-OBJECTS
	rm -f "$BUILD/config-$1/mm/memory.o"
	EXTRA_CONFIG=$3 TARGETS="$always $4" scripts/kernel "config-$1" 2>&1 | sed -u "s/^/# /"
	log=$BUILD/log/kernel-config-$1.log
	grep -E 'warning|rror:|\*\*\*' "$log" | sed -u "s/^/# /"
	[ -f "$BUILD/config-$1/mm/memory.o" ] && ! grep -Eq 'warning|rror:|\*\*\*' "$log"
	result $? "compiles without a warning: $2"
}

echo "TAP version 13"
scripts/tree lay >&2 || exit 1
compiles on "feature on" "" "$engine $budgets $thp"
compiles off "feature off" "# CONFIG_FREEPT is not set" "$thp mm/memcontrol.o"
! (cd "$BUILD/config-off" && nm mm/*.o kernel/fork.o kernel/sched/core.o) | grep -E 'freept|memcg_pt'
result $? "feature off: no symbol of it is left"
compiles no-budgets "without budgets" "# CONFIG_MEMCG_PTFREE is not set" \
	"$engine $thp mm/memcontrol.o"
! (cd "$BUILD/config-no-budgets" && nm mm/*.o kernel/fork.o) | grep memcg_pt
result $? "without budgets: no symbol of them is left"
compiles no-thp "without huge pages" "# CONFIG_TRANSPARENT_HUGEPAGE is not set" \
	"$engine $budgets"
compiles no-memcg "without memory cgroups" "# CONFIG_MEMCG is not set" "$engine $thp"
compiles no-smp "without SMP" "# CONFIG_SMP is not set" "$engine $budgets $thp"
compiles no-split "without split page-table locks" "CONFIG_NR_CPUS=2" \
	"$engine $budgets $thp"
! grep -q SPLIT_PTE_PTLOCKS=y "$BUILD/config-no-split/.config"
result $? "the configuration without split locks has none"
compiles ia32 "with 32-bit programs, whose vDSO sees words of 32 bits" \
	"CONFIG_IA32_EMULATION=y" "$engine $budgets $thp arch/x86/entry/vdso/"
grep -q CONFIG_IA32_EMULATION=y "$BUILD/config-ia32/.config"
result $? "the configuration for 32-bit programs has them"
compiles rt "with PREEMPT_RT" "# CONFIG_PREEMPT_VOLUNTARY is not set
CONFIG_PREEMPT_RT=y" "$engine $budgets"	# it has no huge pages
grep -q CONFIG_PREEMPT_RT=y "$BUILD/config-rt/.config"
result $? "the configuration with PREEMPT_RT has it"
echo "1..$n"
