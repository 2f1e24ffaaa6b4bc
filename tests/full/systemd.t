#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# covers: patches/systemd-252 scripts/systemd tools/systemd tools/cgroup mm :!mm/freept_kunit* include tests/67-server-day.t tests/debian
# needs: build vm image systemd lean stock installed
#
# MemoryPageTableHigh= and MemoryPageTableMax= in systemd itself: the patches
# apply to Debian's source package and build, systemd's own tests of what they
# change pass, and the result, as the init of a Debian image, keeps what its
# manual page promises: on the patched kernel; on Debian's, which has no memory.pt.*,
# where units start and nobody hears of it; beside ptfree-systemd; as what ptfree(8)
# tells to set a budget and asks for it; and over the day of a server.
# Not a part of `make check`: it begins with compiling systemd.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
BUILD=${BUILD:-$top/build}
export BUILD
dir=$BUILD/systemd-252
count=0

echo "TAP version 13"
try() {		# try TEXT COMMAND...
	text=$1 rc=0
	shift
	count=$((count + 1))
	"$@" >"$dir/test.log" 2>&1 || rc=$?
	case $rc in
	0)	echo "ok $count - $text" ;;
	77)	echo "ok $count - $text # SKIP $(tail -n 1 "$dir/test.log")" ;;
	*)	echo "not ok $count - $text"
		tail -n 20 "$dir/test.log" | sed 's/^/# /' ;;
	esac
}
give_up() {
	echo "1..$count"
	exit 1
}

mkdir -p "$dir"
try "the patches apply to Debian's source package, without fuzz" "$top/scripts/systemd" lay
[ -d "$dir/src" ] || give_up
echo "# building, a minute or more if nothing is there yet"
count=$((count + 1))
if "$top/scripts/systemd" build; then echo "ok $count - and build"
else echo "not ok $count - and build"; give_up; fi
rm -rf "$dir/root"
try "what a machine needs of it" "$top/scripts/systemd" install "$dir/root"

cd "$dir/out"
for name in test-tables test-load-fragment test-unit-serialize test-procfs-util test-cgroup \
	test-cgroup-util test-cgroup-setup; do
	try "systemd's own $name" "./$name"
done
try "fuzz-unit-file takes all its samples, the new keys among them" \
	sh -c 'exec ./fuzz-unit-file ../src/test/fuzz/fuzz-unit-file/*'
try "tools/check-directives.sh: the samples have every key" ../src/tools/check-directives.sh ../src .
try "tools/update-dbus-docs.py: the manual has every D-Bus property" \
	env PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 ../src/tools/update-dbus-docs.py --test \
	--build-dir=. ../src/man/org.freedesktop.systemd1.xml

# The results of the machine follow, numbered on.
# on KERNEL ARG...: tests/run-debian there, with the patched systemd
on() {
	kernel=$1
	shift
	"$top/tests/run-debian" --kernel "$kernel" --overlay "$dir/root" "$@" || echo "@failed"
}
ours=$BUILD/systemd/root tool=$BUILD/tools/root
{
	on "${KERNEL:-lean}" systemd-native.sh
	on "${STOCK:-stock}" systemd-native-none.sh
	on "${KERNEL:-lean}" --overlay "$ours" systemd-both.sh
	on "${KERNEL:-lean}" --overlay "$ours" --overlay "$tool" tool-native.sh
	"$top/tests/67-server-day.t" native || echo "@failed"
} | awk -v n="$count" -f "$top/tests/one-stream.awk"
