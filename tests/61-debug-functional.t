#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The functional tests on the debug kernel: KASAN, lockdep, page_table_check.
set -eu
exec "$(dirname "$0")/run" --kernel "${KERNEL:-debug}" empty shapes keep uffd
