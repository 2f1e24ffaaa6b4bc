#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# memory.pt.max in containers of crun, runc and podman as Debian ships them.
# As 76-containers-stock.t on a kernel that knows none of it.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
build=${BUILD:-$top/build}
kernel=${KERNEL:-lean}
script=containers.sh
case $0 in
*-stock.t)
	kernel=${STOCK:-stock}
	script=containers-none.sh
	;;
esac

mkdir -p "$build/containers/usr/local/bin"
gcc -O2 -static -o "$build/containers/usr/local/bin/filler" "$top/tests/tool/filler.c"
exec "$top/tests/run-debian" --image containers --kernel "$kernel" \
	--overlay "$build/containers" \
	--vm "--put '$top/tests/debian/containers-lib.sh:tests/containers-lib.sh'" $script
