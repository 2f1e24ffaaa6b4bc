#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The functional tests on the debug kernel: KASAN, lockdep, page_table_check. Of
# the ways to empty tables one of each kind, as all of them take ten minutes
# here; `make check-full` runs all of them: PART=debug and debug-cgroup.
set -eu
some="empty -v anon_dontneed_64k_pieces -v anon_free_reclaimed -v memfd_punch_64k_pieces"
some="$some -v private_file_truncate -v thp_always_pieces"
straddled="shapes -t straddled_by_mappings_and_a_hole -t neighbour_unmapped -t forked"
exec "$(dirname "$0")/run" --kernel "${KERNEL:-debug}" "$some" "$straddled" keep uffd
