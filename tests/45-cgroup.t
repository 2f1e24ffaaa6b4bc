#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# memory.pt.*: the files, what they count, and memory.pt_reclaim.
set -eu
exec "$(dirname "$0")/run" --kernel "${KERNEL:-lean}" cgfiles cgevents cgcount cgcrowd cgreclaim cgbusy
