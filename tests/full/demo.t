#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# covers: demo mm :!mm/freept_kunit* include patches/linux-6.12 configs/lean.config configs/image-base.list tools
# needs: build vm image tools demo lean stock installed
#
# `make demo` the second time, when everything that it wants is there: all scenes, the
# table, what ptfree survey and ptfree top show of the unit, whole pictures, and in five
# minutes. (The first time the kernel is built as well.)
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
export BUILD="${BUILD:-$top/build}"
said=$(mktemp)
trap 'rm -f "$said"' EXIT
trap 'exit 1' INT TERM HUP

n=0 bad=0
result() {	# result STATUS TEXT
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n - $2"
	else
		echo "not ok $n - $2"
		bad=1
	fi
}
has() { grep -Eq -e "$1" "$said"; }

echo "TAP version 13"
rm -f "$BUILD"/demo/*.svg
{ "$top/demo/run" ${KERNEL:+--ptfree "$KERNEL"} ${STOCK:+--stock "$STOCK"}; echo "code $?"; } 2>&1 | tee "$said" | sed -u 's/^/# /'
has '^code 0$'
result $? "the demo ends well"
for scene in "$top"/demo/scenes/*; do
	name=${scene##*/}
	case $name in
	systemd-unit)	has '^with X-MemoryPageTableMax=' ;;
	oom-loop)	has "ptfree +$name +lived" ;;
	*)		has "^$name +stock " && has "^$name: page tables left: stock .*, ptfree " ;;
	esac
	result $? "scene $name is told"
done
has '^  # ptfree survey' && has '^  # ptfree top'
result $? "ptfree survey and ptfree top have been shown"
for name in vmpte unit survey top; do
	tail -n 3 "$BUILD/demo/$name.svg" 2>/dev/null | grep -q '</svg>'
	result $? "$name.svg is whole"
done
took=$(sed -n 's/^demo took \([0-9]*\) s$/\1/p' "$said")
[ "${took:-999}" -le 300 ]
result $? "it took ${took:-no} s, 300 at most"
echo "1..$n"
exit $bad
