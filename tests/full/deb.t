#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# covers: mm :!mm/freept_kunit* include patches/linux-6.12 configs/lean.config configs/package.config packaging scripts/deb tests/debian/kernel-package.sh
# needs: build vm image disk deb tools
#
# The kernel package: built, installed in a Debian with GRUB, booted from there,
# kept over an upgrade of Debian's kernel, removed. The commands are those that
# README.md tells between its marks; of them the first, which builds, is run here
# with the lean configuration (PACKAGE names another). The package lies where they
# look for the one of KERNEL=own then, among others that they must not take.
# Not a part of `make check`: a third kernel to compile, and five boots.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
BUILD=${BUILD:-$top/build}
export BUILD
package=${PACKAGE:-lean}
packages=$BUILD/packages release=-ptfree-$package
# An initramfs with Debian's modules takes the emulator minutes, without a word.
silence=900
[ "$package" != lean ] || silence=240
work=$(mktemp -d)
trap 'rm -rf "$work" "$packages"/linux-image-6.12.999-*' EXIT
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
one() { [ $# = 1 ] && [ -s "$1" ]; }
# build: a line from time to time, since it takes minutes
build() {
	"$top/scripts/deb" "$package" >"$work/deb" 2>&1 &
	pid=$!
	tail --pid=$pid -n +1 -f "$work/deb" | sed -u 's/^/# /' >&3
	wait $pid
}
# The lines of the README that are commands, without their comments.
commands() { awk '/^<!-- commands -->/ { on = 1 } /^<!-- end of commands -->/ { on = 0 }
	on && sub(/^    # /, "") { sub(/ +# .*/, ""); print }' "$top/README.md"; }
right() {
	commands >"$work/overlay/srv/commands"
	cat "$work/overlay/srv/commands"
	[ "$(wc -l <"$work/overlay/srv/commands")" = 7 ] &&
		[ "$(head -n 1 "$work/overlay/srv/commands")" = "make deb KERNEL=own" ]
}

"$top/scripts/tree" lay >&2
echo "TAP version 13"
# An image that installs nothing: of another flavour, of which nothing may follow.
decoy() {
	name=linux-image-6.12.999$1
	mkdir -p "$work/decoy/DEBIAN"
	printf '%s\n' "Package: $name" "Version: 1" "Architecture: amd64" \
		"Maintainer: nobody <nobody@localhost>" "Description: not to be installed" \
		>"$work/decoy/DEBIAN/control"
	dpkg-deb --root-owner-group -Znone -b "$work/decoy" "$2/${name}_1_amd64.deb" \
		>/dev/null
}
exec 3>&1
there=$work/overlay/root/build/packages
mkdir -p "$work/overlay/srv" "$there" "$packages"
ok "README.md has the commands" right
decoy "$release" "$packages"
ok "make deb KERNEL=$package builds a kernel package" build
ok "there is one, an older one is gone" one "$packages"/linux-image-*"$release"_*.deb
ok "and one of the tool" "$top/scripts/deb"
[ $bad = 0 ] || { echo "1..$n"; exit 1; }
image=$(echo "$packages"/linux-image-*"$release"_*.deb)
cp "$image" "$there/$(basename "$image" | sed "s/${release}_/-ptfree-own_/")"
cp "$BUILD"/packages/ptfree_*.deb "$there/"
for flavour in cloud lean; do
	decoy "-ptfree-$flavour" "$there"
done
{
	# The disk boots what is installed on it; a kernel is asked for all the same.
	"$top/tests/run" --kernel "deb-$package" --disk server --overlay "$work/overlay" \
		--silence $silence --timeout 3600 kernel-package.sh || echo "@failed"
} | awk -v n="$n" -f "$top/tests/one-stream.awk"
