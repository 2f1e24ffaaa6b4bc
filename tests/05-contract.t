#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# tests/contract.txt says which test holds which promise of memory.pt.*. Every
# test that it names must exist and be run, every promise must have one or a
# reason why not. Needs no virtual machine.
set -eu

cd "$(dirname "$0")/.."
list=${CONTRACT:-tests/contract.txt}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM HUP

n=0 bad=0
# result TEXT: good if nothing was found to be wrong
result() {
	n=$((n + 1))
	if [ -s "$work/wrong" ]; then
		bad=1
		echo "not ok $n - $1"
		sed 's/^/#   /' "$work/wrong"
	else
		echo "ok $n - $1"
	fi
	: >"$work/wrong"
}

echo "TAP version 13"
echo 1..5
: >"$work/wrong"

# Entries C1, C2, ...; each with lines that begin with a tab.
awk '
	function end() { if (name && !held) print name ": neither a test nor a reason" }
	/^#/ || /^$/ { next }
	/^\t/ { held = 1; if (!name) print "line " NR ": belongs to nothing"; next }
	/^ / { if (!name || held) print "line " NR ": what does this go on with?"; next }
	/^C[0-9]+ ./ {
		end()
		name = $1
		held = 0
		if (name != "C" ++count)
			print name ": should be C" count
		next
	}
	{ print "line " NR ": not understood" }
	END { end(); if (!count) print "nothing is promised" }
' "$list" >"$work/wrong"
result "every promise has a number of its own, and a test or a reason"

awk '/^\tnone:/ { if (NF < 4) print "line " NR ": that is no reason"; next }
     /^\t.+[ \t]none:/ { print "line " NR ": a reason has a line of its own" }' "$list" >"$work/wrong"
result "every reason is one"

sed -n '/^	none:/d; s/^	//p' "$list" | tr -s ' ' '\n' | sort -u >"$work/names"
grep ':' "$work/names" >"$work/tests" || :
while IFS=: read -r program name; do
	case $name in
	*.*)	wanted="TEST_F(${name%%.*}, ${name#*.})" ;;
	*)	wanted="TEST($name)" ;;
	esac
	grep -qsFx "$wanted" "tests/$program.c" ||
		echo "$program:$name: no $wanted in tests/$program.c" >>"$work/wrong"
done <"$work/tests"
[ -s "$work/tests" ] || echo "no test is named" >>"$work/wrong"
result "every test that is named exists"

cut -d: -f1 "$work/tests" | sort -u | while read -r program; do
	grep -hv '^#' tests/[0-9]*.t | grep -Eq "(^|[[:space:]\"|])$program([ \"]|\$)" ||
		echo "$program: no tests/*.t runs it" >>"$work/wrong"
done
result "every program that is named is run"

grep -v ':' "$work/names" | while read -r file; do
	[ -e "$file" ] || echo "$file: does not exist" >>"$work/wrong"
done
result "every other file that is named exists"
exit $bad
