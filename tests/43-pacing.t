#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Background work costs what was emptied and not what is mapped, leaves alone what
# is used again soon, and is told of everything that is emptied.
set -eu
exec "$(dirname "$0")/run" --kernel "${KERNEL:-lean}" --append ramdisk_size=524288 \
	pacing hints "empty --scanned"
