#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# covers: mm :!mm/freept_kunit* include patches/linux-6.12 configs/lean.config configs/image-base.list configs/image-containers.list tests/debian tests/tool tools/systemd
# needs: build vm image lean stock installed
#
# memory.pt.max in containers of crun, runc, podman and LXC as Debian ships them, and
# what they say on a kernel that knows none of it. Not a part of `make check`, as the
# image with podman takes longer to make than the test.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
build=${BUILD:-$top/build}

mkdir -p "$build/containers/usr/local/bin"
gcc -O2 -static -o "$build/containers/usr/local/bin/filler" "$top/tests/tool/filler.c"
for machine in "${KERNEL:-lean} containers.sh" "${STOCK:-stock} containers-none.sh"; do
	"$top/tests/run-debian" --image containers --kernel "${machine% *}" \
		--overlay "$build/containers" --overlay "$build/systemd/root" \
		--vm "--put '$top/tests/debian/containers-lib.sh:tests/containers-lib.sh'" \
		"${machine#* }" || echo "@failed"
done | awk -f "$top/tests/one-stream.awk"
