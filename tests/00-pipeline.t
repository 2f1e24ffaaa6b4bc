#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The way from the source to the patched tree: what it does when it is asked for
# the impossible, whether it loses edits, and whether the series applies to the
# oldest and the newest 6.12.y that apt offers. And what is made beside it, when that
# was interrupted, or has no room. Needs no virtual machine.
set -u

top=$(cd "$(dirname "$0")/.." && pwd)
real_build=${BUILD:-$top/build}
work=$real_build/test-pipeline
# What the caller asks of make is not meant for the trees of this test.
unset KSRC SOURCE_VERSION PATCH PATCHES NEWFILES COMPILE NEED_MB
unset TREE KARCH KFLAGS TARGETS BASE_CONFIG EXTRA_CONFIG REMAKE
unset MAKEFLAGS MFLAGS MAKELEVEL

rm -rf "$work"
mkdir -p "$work"
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM HUP
log=$work/log

n=0
result() {	# result WORD TEXT
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n - $2"
	else
		echo "not ok $n - $2"
		sed 's/^/#   /' "$log"
	fi
}
ok() { text=$1; shift; "$@" >"$log" 2>&1; result $? "$text"; }
skip() { n=$((n + 1)); echo "ok $n - $1 # SKIP $2"; }

# One clear line, a failure code, no trace of a script that fell over.
fails() {	# fails TEXT PATTERN COMMAND...
	text=$1 pattern=$2
	shift 2
	if "$@" >"$log" 2>&1; then
		echo "succeeded, but should not have" >>"$log"
		result 1 "$text"
	elif tail -n 1 "$log" | grep -Eq "$pattern" && [ "$(wc -l <"$log")" -le 3 ] &&
	     ! grep -Eq 'Traceback|not found$|unbound|syntax error' "$log"; then
		result 0 "$text"
	else
		echo "(wanted a last line like: $pattern)" >>"$log"
		result 1 "$text"
	fi
}

echo "TAP version 13"

# ---- make help -------------------------------------------------------------
help_is_complete() {
	make -s -C "$top" help >"$work/help" || return 1
	sed -n 's/^\.PHONY: *//p' "$top/Makefile" | tr ' ' '\n' | grep -v '^deps-' |
	while read -r target; do
		grep -q "^  $target  *[a-z]" "$work/help" ||
			{ echo "make help does not tell of $target"; return 1; }
	done
}
ok "make help lists every target" help_is_complete
ok "make without a target is make help" \
	sh -c 'make -s -C "$1" | cmp - "$2"' - "$top" "$work/help"

# ---- make check-full --------------------------------------------------------
# A part names what it needs, and what it runs needs no more than that.
parts_say_needs() {
	for part in "$top"/tests/full/*.t; do
		needs=" $(sed -n 's/^# needs: //p' "$part") "
		run=$(cat "$part")
		wants=build
		case $run in
		*tests/run*|*run-debian*|*selftests-cgroup*|*"scripts/vm"*) wants="$wants vm" ;;
		esac
		case $run in *run-debian*) wants="$wants image" ;; esac
		case $run in *scripts/deb*) wants="$wants deb tools disk" ;; esac
		case $run in *"tree series"*) wants="$wants series" ;; esac
		case $run in *KERNEL:-lean*) wants="$wants lean" ;; esac
		case $run in *STOCK:-stock*|*selftests-cgroup*) wants="$wants stock" ;; esac
		case $run in *build/systemd/root*) wants="$wants installed" ;; esac
		for word in $wants; do
			case $needs in
			*" $word "*) ;;
			*) echo "${part##*/}: $word is not among what it needs:$needs"; return 1 ;;
			esac
		done
		for word in $needs; do
			case $word in lean|stock|installed) continue ;; esac
			sed -n 's/^# deps SET/tree/; /^	[a-z |]*)$/p' "$top/scripts/deps" | tr -d '\t)' |
				tr '|' '\n' | tr -d ' ' | grep -qx "$word" ||
				{ echo "${part##*/}: nobody knows what $word is"; return 1; }
		done
	done
}
ok "each part of check-full names what it needs" parts_say_needs

# ---- documents -------------------------------------------------------------
# Every document of ours stands in the index of its folder.
in_an_index() {
	for doc in $(cd "$top" && find Documentation -name '*.rst'); do
		name=${doc##*/}
		awk -v file="+++ b/${doc%/*}/index.rst" -v name="${name%.rst}" '
			/^\+\+\+ / { on = $0 == file }
			on && $0 ~ "^\\+ +" name "$" { found = 1 }
			END { exit !found }' "$top"/patches/linux-6.12/*.patch ||
			{ echo "$doc stands in no index"; return 1; }
	done
}
ok "each document stands in the index of its folder" in_an_index

# ---- a small tree of our own as the source ---------------------------------
src=$work/src
fresh_source() {
	rm -rf "$src"
	mkdir -p "$src/mm" "$src/include/linux" "$src/init" "$src/include/config"
	printf 'VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = %s\nEXTRAVERSION =\n' "${1:-42}" >"$src/Makefile"
	seq 1 40 >"$src/mm/memory.c"
	seq 1 40 >"$src/mm/mmap.c"
	seq 1 40 >"$src/init/main.c"
	echo CONFIG=y >"$src/.config"
	touch "$src/mm/memory.o" "$src/include/config/auto.conf"
	# As sources are: older than the copy made of them.
	find "$src" -exec touch -d 2026-01-01 {} +
}
fresh_patches() {
	rm -rf "$work/patches" "$work/new"
	mkdir -p "$work/patches" "$work/new/mm"
	echo 'int freept;' >"$work/new/mm/new.c"
	printf '# the head\none.patch # adds mm/new.c\n\n# the second\ntwo.patch\n# the end\n' \
		>"$work/patches/series"
	a_patch one mm/memory.c 'first' 9 10 11 12 >"$work/patches/one.patch"
	a_patch two mm/mmap.c 'second' 19 20 21 22 >"$work/patches/two.patch"
}
a_patch() {	# a_patch SUBJECT FILE LINE BEFORE...
	cat <<-PATCH
	From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001
	From: Some One <one@example.org>
	Date: Thu, 1 Jan 2026 12:00:00 +0000
	Subject: [PATCH] mm: $1

	A body for $1.

	Signed-off-by: Some One <one@example.org>
	---
	diff --git a/$2 b/$2
	--- a/$2
	+++ b/$2
	@@ -$4,4 +$4,5 @@
	 $4
	 $5
	+$3
	 $6
	 $7
	PATCH
}
tree() {
	env BUILD="$work/build" PATCHES="$work/patches" NEWFILES="$work/new" \
		KSRC="$src" "$top/scripts/tree" "$@"
}
t=$work/build/tree
fresh_source
fresh_patches

fails "a source that is missing" 'KSRC=/nonexistent is not a directory' \
	env KSRC=/nonexistent BUILD="$work/b1" "$top/scripts/tree" lay
fails "a source that is no kernel" 'is not a kernel source tree' \
	env KSRC="$work/new" BUILD="$work/b1" "$top/scripts/tree" lay
sed -i 's/= 12/= 11/' "$src/Makefile"
fails "a source that is not 6.12.y" 'is Linux 6\.11\.42; ptfree needs a 6\.12\.y' tree lay
fresh_source
fails "a version that is not 6.12.y" 'is not a 6\.12\.y version' \
	env SOURCE_VERSION=6.1.99-1 BUILD="$work/b1" "$top/scripts/tree" lay
fails "no room" 'MB free for .*999999999 MB needed' env NEED_MB=999999999 BUILD="$work/b1" \
	PATCHES="$work/patches" NEWFILES="$work/new" KSRC="$src" "$top/scripts/tree" lay
ok "nothing half-made is left over" sh -c '! test -e "$1"/tree' - "$work/b1"

# All commands but one, and a user who may not install anything
mkdir "$work/bin"
for where in $(echo "/usr/sbin:/usr/bin:/sbin:/bin" | tr : ' '); do
	ln -s "$where"/* "$work/bin/" 2>/dev/null
done
rm -f "$work/bin/flex" "$work/bin/id"
printf '#!/bin/sh\necho 1000\n' >"$work/bin/id"
chmod +x "$work/bin/id"
fails "a missing tool is named, and how to get it" '^deps: missing: flex; .*apt-get install flex' \
	env PATH="$work/bin" "$top/scripts/deps" tree build

laid() {
	tree lay && grep -q first $t/mm/memory.c && grep -q second $t/mm/mmap.c &&
		test -L $t/mm/new.c && grep -q freept $t/mm/new.c &&
		test ! -e $t/.config && test ! -e $t/mm/memory.o && test ! -e $t/include/config
}
ok "lay: patches, links to new files, nothing that a build left" laid
stamp() { find $t/mm $t/init $t/include -type f -printf '%p %T@\n' | sort; }
stamp >"$work/before"
again() { tree lay && stamp | cmp - "$work/before"; }
ok "lay again touches no file" again

sed -i 's/^+second/+zweite/' "$work/patches/two.patch"
changed() {
	tree lay && grep -q zweite $t/mm/mmap.c && stamp | diff - "$work/before" >"$work/diff"
	[ "$(grep -c '^<' "$work/diff")" = 1 ] && grep -q '^< .*mm/mmap.c' "$work/diff"
}
ok "a changed patch touches its file and no other" changed

sed -i 's/^ 21$/ 2x/' "$work/patches/two.patch"
fails "a patch that does not apply is named with its file" \
	'two\.patch does not apply to .*mm/mmap\.c, near line 19' tree lay
ok "and the tree is as before" grep -q zweite $t/mm/mmap.c
sed -i 's/^ 2x$/ 21/' "$work/patches/two.patch"
ok "and corrected it applies" tree lay

echo third.patch >>"$work/patches/series"
fails "a patch that series names and nobody has" 'series names third\.patch, which is not in' tree lay
sed -i '/^third/d' "$work/patches/series"
mv "$work/new/mm/new.c" "$work/new/mm/away.c"
fails "a new file that nobody has" 'series adds mm/new\.c, which is not in the repository' tree lay
mv "$work/new/mm/away.c" "$work/new/mm/new.c"

# ---- edits in the tree -----------------------------------------------------
edit_back() {
	cp "$work/patches/series" "$work/series"
	sed -i 's/^zweite$/zweite, edited/' $t/mm/mmap.c
	sed -i 's/^30$/30\nthirty/' $t/mm/memory.c
	tree lay && grep -q edited $t/mm/mmap.c && tree refresh &&
		grep -q '^+zweite, edited$' "$work/patches/two.patch" &&
		grep -q '^+thirty$' "$work/patches/one.patch" &&
		! grep -q thirty "$work/patches/two.patch" &&
		grep -q '^A body for one\.$' "$work/patches/one.patch" &&
		cmp "$work/series" "$work/patches/series"
}
ok "refresh: edits go into the patch of their file, messages and comments stay" edit_back
cp -r "$work/patches" "$work/patches.1"
ok "refresh again writes nothing" sh -c 'tree() { env BUILD="$1/build" PATCHES="$1/patches" \
	NEWFILES="$1/new" KSRC="$2" "$3/scripts/tree" "$4"; }; tree "$@" refresh &&
	diff -r "$1/patches" "$1/patches.1"' - "$work" "$src" "$top"

echo 'nobody' >>$t/init/main.c
fails "an edit that no patch covers" 'no patch touches init/main\.c; say PATCH=NAME' tree refresh
ok "PATCH=NAME takes it" env PATCH=two BUILD="$work/build" PATCHES="$work/patches" \
	NEWFILES="$work/new" KSRC="$src" "$top/scripts/tree" refresh
ok "and has it" grep -q '^+nobody$' "$work/patches/two.patch"

own_commit() {
	sed -i 's/^35$/35\nmine/' $t/mm/mmap.c
	git -C $t -c user.name=Me -c user.email=me@example.org commit -q -a -m 'mm: my own step' &&
	tree refresh && grep -q '^+mine$' "$work/patches/mm-my-own-step.patch" &&
	grep -qx 'mm-my-own-step.patch' "$work/patches/series"
}
ok "a commit made in the tree becomes a new patch of the series" own_commit

echo 'precious' >>$t/mm/memory.c
sed -i 's/^+mine/+yours/' "$work/patches/mm-my-own-step.patch"
fails "edits are not lost to changed patches" 'holds edits of mm/memory\.c; run .make refresh.' tree lay
ok "and are still there" grep -q precious $t/mm/memory.c
git -C $t checkout -q mm/memory.c
touch $t/mm/stray.c
fails "a new file in the tree is not overlooked" 'mm/stray\.c: new in build/tree' \
	sh -c 'sed -i "s/^+yours/+mine/" "$1/patches/mm-my-own-step.patch"
	env BUILD="$1/build" PATCHES="$1/patches" NEWFILES="$1/new" KSRC="$2" "$3/scripts/tree" refresh' \
	- "$work" "$src" "$top"
rm $t/mm/stray.c

fresh_source 43
other_source() {
	echo 'precious' >>$t/mm/memory.c
	mv "$src" "$src.43"
	env BUILD="$work/build" PATCHES="$work/patches" NEWFILES="$work/new" \
		KSRC="$src.43" "$top/scripts/tree" lay
}
fails "edits are not lost to another source" 'holds edits of mm/memory\.c; run' other_source
mv "$src.43" "$src"
git -C $t checkout -q mm/memory.c

# ---- repair ----------------------------------------------------------------
repaired() {
	rm $t/.git/ptfree.json
	mkdir -p "$work/build/tree.tmp/mm" "$work/build/tree.scratch"
	tree lay && grep -q first $t/mm/memory.c && test -d "$work/build/tree.broken" &&
		test ! -e "$work/build/tree.tmp" && tree status | grep -q 'tree only: nothing'
}
ok "a damaged tree is kept aside and laid anew" repaired
killed() {
	# As a run that was killed while it unpacked leaves it.
	rm -rf "$work/build/tree" "$work/build/tree.broken"
	mkdir -p "$work/build/tree.tmp/.git"
	tree lay && grep -q first $t/mm/memory.c && test ! -e "$work/build/tree.tmp"
}
ok "a half-unpacked tree is laid anew" killed

printf 'mm: the subject\n\nThe text.\n' >"$work/patches/cover-letter"
exported() {
	mkdir -p $t/scripts
	printf 'exit 0;\n' >"$t/scripts/checkpatch.pl"
	tree series || return 1
	s=$work/build/series
	grep -q '^Subject: \[PATCH 0/3\] mm: the subject' "$s/0000-cover-letter.patch" &&
		grep -q '^The text\.' "$s/0000-cover-letter.patch" &&
		grep -q '^+int freept;' "$s"/0001-*.patch && ! grep -q freept "$s"/0002-*.patch &&
		git -C "$src" init -q . && git -C "$src" add -f mm init &&
		git -C "$src" -c user.name=x -c user.email=x commit -qm x &&
		git -C "$src" -c user.name=x -c user.email=x am -q "$s"/000[1-9]*.patch &&
		cmp "$src/mm/new.c" "$work/new/mm/new.c"
}
ok "series: mail-ready, new files in the step that adds them, git am takes it" exported

# ---- interrupted work --------------------------------------------------------
# What stands in for a long step stops where HOLD names a pipe: it has written half of
# its file then, says there who it is, and waits for what never comes.
mkfifo "$work/hold" "$work/hold.never"
# As `kill` does it, not as Ctrl-C: the one process gets the signal. It must end and
# leave nobody behind who goes on writing.
interrupted() {	# interrupted FUNCTION: which ends in exec
	HOLD=$work/hold "$1" &
	pid=$!
	held=$(timeout 60 head -n 1 "$work/hold")
	kill $pid
	wait $pid
	got=$?
	[ -n "$held" ] || { echo "it has not come to where it is to be interrupted"; return 1; }
	! kill "$held" || { echo "what it had started went on"; return 1; }
	[ $got != 0 ]
}
lines() { [ "$(wc -l <"$1")" = "$2" ]; }

# A kernel tree whose make does with a configuration what the kernel's does, no more.
mkdir -p "$work/kernel" "$work/b4"
cat >"$work/kernel/Makefile" <<'MAKE'
allnoconfig:
	@head -n 5 $(KCONFIG_ALLCONFIG) >$(O)/$(KCONFIG_CONFIG)
	@[ -z "$(HOLD)" ] || { echo $$$$ >"$(HOLD)"; read -r word <"$(HOLD).never"; }
	@cat $(KCONFIG_ALLCONFIG) >$(O)/$(KCONFIG_CONFIG)
	@echo once >>$(O)/times
bzImage:
	@cp $(O)/.config $(O)/built-with
MAKE
touch -d 2026-01-01 "$work/kernel/Kconfig"
kernel() {
	exec env BUILD="$work/b4" TREE="$work/kernel" EXTRA_CONFIG=CONFIG_LAST=y \
		"$top/scripts/kernel" lean
}
l=$work/b4/lean
built() {	# built TIMES: it was configured so many times by now
	(kernel) && grep -qx CONFIG_LAST=y "$l/built-with" &&
		cmp "$l/fragment.config" "$l/built-with" && test ! -e "$l/.config.new" &&
		lines "$l/times" "$1"
}
half() { head -n 5 "$l/fragment.config" >"$l/$1"; }
ok "a kernel that is killed while it is configured takes its make along" interrupted kernel
ok "half a configuration is not taken for one" test ! -e "$l/.config"
ok "run again it is configured and built" built 1
ok "and not configured once more" built 1
half_config() { half .config && built 2; }
ok "half a .config is made anew" half_config
# As a run that got no signal that it could have heard leaves it.
half_way() {
	rm "$l/.configured"
	half .config && half .config.new && half fragment.config.new && built 3
}
ok "what a run that died in its configuration has left is made anew" half_way

# An image, with something in the place of all that takes time or the network. df has
# 3 MB for the folder LOW, else enough.
mkdir -p "$work/stubs" "$work/tmp" "$work/empty" "$work/b5"
stub() { cat >"$work/stubs/$1" && chmod +x "$work/stubs/$1"; }
stub id <<'STUB'
#!/bin/sh
echo 0
STUB
stub apt-get <<'STUB'
#!/bin/sh
[ "$1" != indextargets ] || echo "Debian|Debian|http://localhost/debian"
STUB
stub apt-config <<'STUB'
#!/bin/sh
STUB
stub mmdebstrap <<'STUB'
#!/bin/sh
echo mmdebstrap >>"$STEPS"
while [ $# -gt 2 ]; do shift; done
echo half >"$1"
[ -z "${HOLD:-}" ] || { echo $$ >"$HOLD"; read -r word <"$HOLD.never"; }
tar -cf "$1" -C "$EMPTY" .
STUB
stub mke2fs <<'STUB'
#!/bin/sh
while [ $# -gt 2 ]; do shift; done
[ ! -e "$1" ] || { echo "$1 is there already"; exit 1; }
echo a whole file system >"$1"
STUB
stub dpkg-buildpackage <<'STUB'
#!/bin/sh
echo dpkg-buildpackage >>"$STEPS"
exit 1
STUB
stub df <<'STUB'
#!/bin/sh
for dir; do :; done
free=99999999
[ "$dir" != "${LOW:-}" ] || free=3072
printf 'Filesystem 1024-blocks Used Available Capacity Mounted\n/dev/x 1 1 %s 1%% /\n' $free
STUB
stubbed() {
	exec env PATH="$work/stubs:$PATH" BUILD="$work/b5" TMPDIR="$work/tmp" EMPTY="$work/empty" \
		STEPS="$work/steps" "$@"
}
image() { stubbed "$top/scripts/image" base; }
i=$work/b5/image/base.ext4
imaged() {	# imaged TIMES: it was made so many times by now, and nothing lies about
	(image) && grep -qx 'a whole file system' "$i" && lines "$work/steps" "$1" &&
		test ! -e "$i.tmp" && rmdir "$work/tmp" && mkdir "$work/tmp"
}
ok "an image that is killed takes mmdebstrap along" interrupted image
ok "and leaves no half of it" sh -c 'test ! -e "$1" && test ! -e "$1.tmp" && rmdir "$2" && mkdir "$2"' \
	- "$i" "$work/tmp"
ok "run again it is made" imaged 2
ok "and not once more" imaged 2
half_image() { echo half >"$i" && imaged 3; }
ok "half an image is made anew" half_image
# As a run that got no signal that it could have heard leaves it.
left_image() { rm "$i.made-of" && echo half >"$i" && echo half >"$i.tmp" && imaged 4; }
ok "half an image and a half-filled file system are made anew" left_image

# ---- no room ----------------------------------------------------------------
# Said before anything is begun, and what to do.
no_room() {	# no_room DIR MB VARIABLE COMMAND...
	low=$1 mb=$2 variable=$3
	shift 3
	rm -f "$work/steps"
	fails "no room in ${low##*/} for ${1##*/}${2+ $2}" \
		"3 MB free for $low, $mb MB needed for .*; make room, or set $variable=DIR" \
		stubbed_in "$low" "$@"
	ok "and nothing was begun" test ! -e "$work/steps"
}
stubbed_in() { low=$1; shift; (LOW=$low REMAKE=1 stubbed "$@"); }
rm -rf "$work/b5/packages"
no_room "$work/tmp" 1536 TMPDIR "$top/scripts/image" base
no_room "$work/b5/image" 768 BUILD "$top/scripts/image" base
no_room "$work/tmp" 128 TMPDIR "$top/scripts/deb"
no_room "$work/b5/packages" 32 BUILD "$top/scripts/deb"
no_room "$work/b5" 1024 BUILD "$top/scripts/deb" lean
no_room "$work/b5" 6144 BUILD "$top/scripts/deb" own
ok "no folder for a kernel is left over" sh -c '! ls -d "$1"/deb-*' - "$work/b5"
ok "the image that was there is there still" grep -qx 'a whole file system' "$i"

# ---- apt -------------------------------------------------------------------
if ! command -v apt-get >/dev/null; then
	skip "no network" "no apt here"
	skip "no package lists" "no apt here"
else
	# Nobody listens on the discard port: refused at once.
	cat >"$work/dead.conf" <<-CONF
	Acquire::http::Proxy "http://127.0.0.1:9";
	Acquire::https::Proxy "http://127.0.0.1:9";
	Acquire::Retries "0";
	CONF
	version=$(APT_CONFIG=$work/dead.conf "$top/scripts/source" version 2>/dev/null)
	fails "no network" 'cannot download linux-source-6\.12|apt offers no linux-source' \
		env APT_CONFIG="$work/dead.conf" BUILD="$work/b2" SOURCE_VERSION="$version" \
		"$top/scripts/tree" lay
	mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
	cat "$work/dead.conf" - >"$work/empty.conf" <<-CONF
	Dir::State::lists "$work/lists";
	Dir::Cache "$work/cache";
	CONF
	fails "no package lists" 'apt offers no linux-source-6\.12; run' \
		env APT_CONFIG="$work/empty.conf" BUILD="$work/b3" "$top/scripts/tree" lay
fi

# ---- the series on what apt has --------------------------------------------
# Only the files that the patches touch are taken out of the tar file.
applies_to() {
	version=$1
	file=$(env BUILD="$real_build" "$top/scripts/source" deb linux-source-6.12 "$version") || return 1
	dir=$work/apply-$version
	mkdir -p "$dir"
	cd "$top/patches/linux-6.12" || return 1
	patches=$(sed 's/#.*//' series | awk 'NF { print $1 }')
	# shellcheck disable=SC2086 # a list of names
	sed -n 's,^--- a/\([^[:space:]]*\).*,linux-source-6.12/\1,p' $patches | sort -u >"$dir/files"
	# A file that an earlier patch of the series makes is not in the source.
	dpkg-deb --fsys-tarfile "$file" | tar -xO ./usr/src/linux-source-6.12.tar.xz |
		tar -xJ -C "$dir" --strip-components=1 -T "$dir/files" 2>"$dir/missing"
	cd "$dir" && git init -q . || return 1
	for patch in $patches; do
		git apply --whitespace=nowarn "$top/patches/linux-6.12/$patch" ||
			{ echo "$patch does not apply to $version"; return 1; }
	done
}
versions=$("$top/scripts/source" versions 2>/dev/null)
if [ -z "$versions" ] || [ ! -s "$top/patches/linux-6.12/series" ]; then
	skip "series applies" "apt offers no linux-source-6.12"
else
	newest=$(echo "$versions" | head -n 1)
	oldest=$(echo "$versions" | tail -n 1)
	ok "the series applies without fuzz to $newest, the newest" applies_to "$newest"
	if [ "$oldest" != "$newest" ]; then
		ok "the series applies without fuzz to $oldest, the oldest" applies_to "$oldest"
	fi
fi

echo "1..$n"
