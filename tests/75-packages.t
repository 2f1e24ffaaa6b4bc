#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The packages ptfree and ptfree-dev: built, looked at by lintian, installed in a
# Debian machine, used, upgraded, removed; nothing may be left of them. Then the
# same on Debian's own kernel, where units must start all the same.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
BUILD=${BUILD:-$top/build}
export BUILD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM HUP

n=0 bad=0
ok() {	# ok TEXT COMMAND...
	text=$1
	shift
	n=$((n + 1))
	if "$@" >"$work/out" 2>&1; then
		echo "ok $n - $text"
	else
		bad=$((bad + 1))
		echo "not ok $n - $text"
		tail -n 20 "$work/out" | sed 's/^/#   /'
	fi
}

# The header's numbers are those of the kernel, name by name.
numbers() { grep -E '^[+ ]?# ?define[[:space:]]+(PR_[A-Z]*_?FREEPT[A-Z_]*|MADV_[A-Z_]*)[[:space:]]+[0-9]' |
	sed -E 's/^\+?# *define[[:space:]]+([A-Z_]+)[[:space:]]+([0-9a-fx]+).*/\1 \2/; s/^# *define/define/' |
	grep -E 'FREEPT|PT_RECLAIM' | sort; }
same_numbers() {
	grep -hE '^\+# ?define|^\+#define' "$top"/patches/linux-6.12/0008-*.patch | sed 's/^+//' |
		numbers >"$work/kernel"
	numbers <"$top/tools/include/ptfree.h" >"$work/header"
	[ "$(wc -l <"$work/kernel")" = 8 ] || { echo "the kernel's:"; cat "$work/kernel"; return 1; }
	diff "$work/kernel" "$work/header"
}
compiles() {
	# In both orders, and by compilers that insist.
	for order in "sys/mman.h sys/prctl.h ptfree.h" "ptfree.h sys/mman.h sys/prctl.h"; do
		{
			for file in $order; do
				echo "#include <$file>"
			done
			echo "int numbers[] = { MADV_FREEPT, MADV_NOFREEPT, MADV_PT_RECLAIM,"
			echo "PR_SET_FREEPT, PR_GET_FREEPT, PR_FREEPT_DEFAULT, PR_FREEPT_ENABLE,"
			echo "PR_FREEPT_DISABLE };"
		} >"$work/try.c"
		gcc -std=c99 -Wall -Wextra -Wpedantic -Werror -I "$work/dev/usr/include" \
			-c -o "$work/try.o" "$work/try.c" || return
	done
}
clean() { lintian --fail-on error "$BUILD"/packages/ptfree_*.changes; }
one() { [ $# = 1 ] && [ -s "$1" ]; }
found() { [ -e "$1" ] && [ -s "$1" ]; }

{
	ok "make deb builds them" "$top/scripts/deb"
	for name in ptfree ptfree-dev; do
		ok "there is one $name" one "$BUILD/packages/$name"_*.deb
	done
	ok "lintian finds no error in either" clean
	mkdir -p "$work/dev" "$work/all"
	ok "ptfree-dev unpacks" dpkg-deb -x "$BUILD"/packages/ptfree-dev_*.deb "$work/dev"
	ok "it has one header" [ "$(find "$work/dev/usr/include" -type f)" = "$work/dev/usr/include/ptfree.h" ]
	ok "the header's numbers are the kernel's" same_numbers
	ok "it compiles before and after the C library's" compiles
	ok "ptfree unpacks" dpkg-deb -x "$BUILD"/packages/ptfree_*.deb "$work/all"
	for file in usr/share/man/man8/ptfree.8.gz usr/share/man/man1/ptfree-systemd.1.gz \
			usr/share/bash-completion/completions/ptfree \
			usr/share/doc/ptfree/examples/cgconfig.conf \
			usr/share/doc/ptfree/freept-services.rst.gz; do
		ok "it has $file" found "$work/all/$file"
	done
	echo "1..$n"
} >"$work/host.tap"

mkdir -p "$work/overlay/srv"
cp "$BUILD"/packages/ptfree_*.deb "$BUILD"/packages/ptfree-dev_*.deb "$work/overlay/srv/"
{
	sed '/^1\.\./d' "$work/host.tap"
	"$top/tests/run-debian" --kernel "${KERNEL:-lean}" --overlay "$work/overlay" packages.sh ||
		echo "@failed"
	"$top/tests/run-debian" --kernel "${STOCK:-stock}" --overlay "$work/overlay" packages-none.sh ||
		echo "@failed"
} | awk -f "$top/tests/one-stream.awk"
