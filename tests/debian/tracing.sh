#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The examples of the guide's chapter on tracepoints, as it has them (freept.rst lies
# beside this script), with perf, ftrace and bpftrace as Debian ships them, while
# /usr/local/bin/filler fills page tables and gives the memory back.
# shellcheck disable=SC2317 # what ok calls
# shellcheck source=tests/debian/lib.sh
. /tests/lib.sh

# A line for each command of the chapter; a line that is indented further than "  # "
# goes on with the one before.
sed -n '/^Tracepoints$/,/^Budgets for cgroups$/p' /tests/freept.rst | awk '
	/^  # / { if (cmd != "") print cmd; cmd = substr($0, 5); next }
	/^      / && cmd != "" { sub(/^ +/, ""); cmd = cmd " " $0; next }
	cmd != "" { print cmd; cmd = "" }
	END { if (cmd != "") print cmd }' >/tmp/examples
sed 's/^/# example: /' /tmp/examples

# example WORD: the command of the guide that begins with WORD
example() { grep "^$1" /tmp/examples; }

box=$group/box
mkdir -p "$box"
echo 1M >"$box/memory.pt.high"
sysctl -q vm.freept=2 vm.freept_scan_delay_ms=20

# 2 GiB are touched, one page a table, and given back: 4 MiB of tables over 1 MiB. The
# process ends when all of that is done.
load() {
	rm -f /tmp/ready
	# shellcheck disable=SC2016 # the inner shell's
	sh -c 'echo $$ >"$0/cgroup.procs"; exec /usr/local/bin/filler 1024 0 /tmp/ready' "$box" &
	filler=$!
	soon test -e /tmp/ready
	soon few
	kill $filler
	wait $filler 2>/dev/null
}
few() { [ "$(cat "$box/memory.pt.current")" -lt 1000000 ]; }

# while_loaded COMMAND OUT SIGN: run it beside loads until SIGN is in what it prints,
# at its interruption at the latest.
while_loaded() {
	sh -c "exec $1" >"$2" 2>&1 &
	pid=$!
	for round in 1 2 3 4 5 6; do
		load
		grep -q "$3" "$2" && break
	done
	kill -INT $pid
	wait $pid
	head -n 3 "$2" | sed "s/^/# /"
	grep -q "$3" "$2" || { echo "after $round loads:"; head -n 20 "$2"; return 1; }
}

ok "the guide has an example for each of perf, ftrace and bpftrace" \
	is 3 grep -cE '^(perf|bpftrace|echo .hist)' /tmp/examples
ok "perf: who loses tables, how many at a time" \
	while_loaded "$(example perf)" /tmp/perf 'freept:freept_run_end.*freed'
ok "perf: none of its lines is of a run that freed nothing" \
	fails grep -E 'freept_run_end.*(freed=0 |nr_freed: 0[,)])' /tmp/perf
grep -E '^(cd|echo|cat)' /tmp/examples >/tmp/ftrace.sh
histogram() {
	# its last line shows the histogram, after the load
	sed '$d' /tmp/ftrace.sh >/tmp/ftrace-on.sh
	sh -eu /tmp/ftrace-on.sh
	load
	(sed -n '/^cd/p' /tmp/ftrace.sh; tail -n 1 /tmp/ftrace.sh) | sh -eu >/tmp/hist
	sed 's/^/# /' /tmp/hist
	grep -qE 'held_ns: ~ 2\^[0-9]+.*hitcount: +[1-9]' /tmp/hist
}
ok "ftrace: the histogram of holds of the mmap lock" histogram
ok "bpftrace: the longest stop on return to user space, by program" \
	while_loaded "$(example bpftrace)" /tmp/bpf '@\[[a-z]*\]: [1-9]'
ok "perf lists all seven tracepoints" sh -c \
	'test "$(perf list "freept:*" 2>/dev/null | grep -c freept:)" = 7'
finish
