#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Which verdicts of `make check-full` are called old: in a small repository with two
# parts, of which one covers what the patches make of the source and the other each
# patch. Needs no virtual machine.
set -u

top=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM HUP
unset BUILD GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE

n=0
ok() {	# ok TEXT COMMAND...
	n=$((n + 1)) text=$1
	shift
	if "$@" >"$work/log" 2>&1; then
		echo "ok $n - $text"
	else
		echo "not ok $n - $text"
		sed 's/^/#   /' "$work/log"
	fi
}
git() { command git -c user.name=me -c user.email=me@example.org -c core.hooksPath=/dev/null "$@"; }

# The source, as `make tree` leaves it
source=$work/repo/build/tree
mkdir -p "$source/mm"
seq 1 40 >"$source/mm/memory.c"
git -C "$source" init -q
git -C "$source" add -f mm
git -C "$source" commit -q -m pristine
echo "{\"base\": \"$(git -C "$source" rev-parse HEAD)\"}" >"$source/.git/ptfree.json"

# patch FILE LINE WORD: has the word added after that line, which has its number in it
patch() {
	sed -i "/^$2$/a$3" "$source/mm/memory.c"
	git -C "$source" diff >"$work/repo/patches/linux-6.12/$1"
	git -C "$source" commit -q -a -m "$3"
}
fresh_source() { git -C "$source" reset -q --hard "$(git -C "$source" rev-list --max-parents=0 HEAD)"; }

repo=$work/repo
mkdir -p "$repo/scripts" "$repo/tests/full" "$repo/mm" "$repo/patches/linux-6.12"
cp "$top/scripts/check-full" "$repo/scripts/"
echo '# covers: mm patches/linux-6.12' >"$repo/tests/full/result.t"
echo '# covers: :(glob)patches/linux-6.12/**' >"$repo/tests/full/each.t"
echo 'int new;' >"$repo/mm/new.c"
patch one.patch 10 first
patch two.patch 30 second
printf '# in this order\none.patch # adds mm/new.c\ntwo.patch\n' >"$repo/patches/linux-6.12/series"
echo build >"$repo/.gitignore"
git -C "$repo" init -q
git -C "$repo" add -A
git -C "$repo" commit -q -m first

# said PART...: these verdicts are old, and no others
said() {
	"$repo/scripts/check-full" --stale >"$work/said" || return 1
	cat "$work/said"
	[ "$(wc -l <"$work/said")" = $# ] || return 1
	for part; do
		grep -q "the verdict on $part is older" "$work/said" || return 1
	done
}
missing() { "$repo/scripts/check-full" --stale | grep -c "has no verdict yet" | grep -qx 2; }
commit() { git -C "$repo" add -A && git -C "$repo" commit -q -m "$1"; }

echo "TAP version 13"
ok "a part without a verdict is named" missing
first=$(git -C "$repo" rev-parse --short=12 HEAD)
for part in result each; do
	echo "| $part | pass | $first | 2026-01-01 |"
done >"$repo/tests/RESULTS.md"
commit verdicts
ok "verdicts on what is there are not old" said

# The same in five patches, of which the last takes back what two have added
fresh_source
rm "$repo"/patches/linux-6.12/*.patch
patch 1.patch 10 first
patch 2.patch 35 third
patch two.patch 30 second
patch 3.patch 35 fourth
sed -i '/^fourth$/d; /^third$/d' "$source/mm/memory.c"
git -C "$source" diff >"$repo/patches/linux-6.12/4.patch"
printf '1.patch # adds mm/new.c\n2.patch\ntwo.patch\n3.patch\n4.patch\n' >"$repo/patches/linux-6.12/series"
ok "before they are committed, other patches are other patches" said each result
commit "cut anew"
ok "a series that is cut anew and makes the same of the source is the same" said each
mv "$source/.git/ptfree.json" "$work/state"
ok "without a tree nobody can say so" said each result
mv "$work/state" "$source/.git/ptfree.json"

sed -i '/^4.patch/d' "$repo/patches/linux-6.12/series"
commit "one less"
ok "a series that makes something else of the source is another" said each result
git -C "$repo" revert --no-edit HEAD >/dev/null
ok "and taken back it is the same" said each
sed -i 's/^ 31$/ 3x/' "$repo/patches/linux-6.12/two.patch"
commit "does not apply any more"
ok "patches that do not apply are others" said each result
git -C "$repo" revert --no-edit HEAD >/dev/null
echo 'int newer;' >"$repo/mm/new.c"
ok "an edit of a new file makes a verdict old" said each result
git -C "$repo" checkout -q mm
echo '# what it does' >>"$repo/tests/full/result.t"
ok "a comment in the part itself does not" said each
echo 'what it does' >>"$repo/tests/full/result.t"
ok "but another line of it does" said each result
echo "1..$n"
