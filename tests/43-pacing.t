#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Background work costs what was emptied and not what is mapped, and 3 % at most, leaves
# alone what is used again soon, and is told of everything that is emptied.
set -eu
cd "$(dirname "$0")/.."

kernel=${KERNEL:-lean}
{
	tests/run --kernel "$kernel" --append ramdisk_size=524288 \
		pacing hints "empty --scanned" || echo "@failed"
	tests/run --kernel "$kernel" --icount pace || echo "@failed"
} | awk -f tests/one-stream.awk
