#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# covers: mm :!mm/freept_kunit* include patches/linux-6.12 configs/lean.config configs/small.config configs/debug.config tests/stress.sh
# needs: build vm demo
#
# stress-ng's memory stressors on the debug kernel, each with --verify, while empty
# tables are freed as often as can be: tests/stress.sh. stress-ng is Debian's.
# STRESS_SECONDS=N for each.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
export BUILD="${BUILD:-$top/build}"

"$top/scripts/tree" lay >&2
"$top/scripts/kernel" debug >&2
"$top/demo/userland" "$BUILD/stress" stress-ng:usr/bin/stress-ng >&2
"$top/scripts/initramfs" "$BUILD/stress.cpio" "$BUILD/stress"
exec "$top/tests/run" --kernel "${KERNEL:-debug}" --timeout 3300 --silence 700 --mem 2G \
	--append ramdisk_size=131072 --vm "--initrd '$BUILD/stress.cpio'" \
	--vm "--put '$top/tests/stress.sh':stress.sh" "sh /stress.sh ${STRESS_SECONDS:-6}"
