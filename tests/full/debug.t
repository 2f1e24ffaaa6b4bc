#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# covers: mm include patches/linux-6.12 configs/lean.config configs/small.config configs/debug.config tests/*.c tests/*.h :!tests/cg*.c :!tests/torture* :!tests/hostile.c :!tests/bomb.c
# needs: build vm
#
# Every functional test on the debug kernel: KASAN, lockdep, RCU's strict grace periods,
# page_table_check. `make check` has time for some of them there (tests/61-*.t).
# In two parts, of which none takes an hour: those of cgroups are debug-cgroup.
# Not here: what is about memory that is short, which KASAN needs itself (44), and about
# what background work costs (43).
set -eu
cd "$(dirname "$0")/../.."

scripts/tree lay >&2
scripts/kernel debug >&2
scripts/guest-tests >&2
{
	for number in ${NUMBERS:-15 20 30 40 41 42 50 51}; do
		for file in tests/"$number"-*.t; do
			echo "# $file"
			KERNEL=debug "$file" || echo "@failed"
		done
	done
} | awk -f tests/one-stream.awk
