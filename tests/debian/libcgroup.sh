#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The programs of libcgroup, as Debian ships them, with memory.pt.*.
# shellcheck disable=SC2317 # what ok, soon and is call
# shellcheck source=tests/debian/lib.sh
. /tests/lib.sh

M=1048576
sysctl -qw vm.freept=0	# only what is asked for here
conf=/usr/share/doc/ptfree/cgconfig.conf

read_back() { cat "$group/$1"; }

# ---- cgcreate, cgset, cgget ----

ok "cgcreate" cgcreate -g memory:lab
ok "the group has our files" [ -e $group/lab/memory.pt.max ]
ok "cgset -r with a suffix" cgset -r memory.pt.max=64M lab
ok "is what the kernel has" is $((64 * M)) read_back lab/memory.pt.max
ok "cgset with several" cgset -r memory.pt.high=16M -r memory.pt.max=32M lab
ok "has set both" is "$((16 * M)) $((32 * M))" \
	sh -c "echo \$(cat $group/lab/memory.pt.high $group/lab/memory.pt.max)"
ok "cgset max" cgset -r memory.pt.max=max lab
ok "cgget -r" is "lab:
memory.pt.max: max" sh -c "cgget -r memory.pt.max lab | sed '/^$/d'"
ok "cgget -n -v" is $((16 * M)) cgget -n -v -r memory.pt.high lab
ok "cgget of what is read-only" is 0 cgget -n -v -r memory.pt.current lab
ok "cgget of several lines" is "high 0 max 0 oom 0 oom_kill 0" \
	sh -c "echo \$(cgget -n -v -r memory.pt.events lab)"
all() {
	cgget -g memory:lab >/tmp/all || return 1
	for name in current high max peak events events.local; do
		grep "^memory.pt.$name: " /tmp/all || return 1
	done
}
ok "cgget -g has all of them" all
ok "cgget of what is write-only prints nothing" is "" cgget -n -v -r memory.pt_reclaim lab
ok "cgset of nonsense fails" fails cgset -r memory.pt.max=64X lab
ok "and the old value stays" is max read_back lab/memory.pt.max
ok "cgset of what is not there fails" fails cgset -r memory.pt.none=1 lab
ok "cgset of what is read-only fails" fails cgset -r memory.pt.current=1 lab

# ---- cgexec, cgclassify ----

ok "cgexec: the command is in the group" is "0::/lab" cgexec -g memory:lab cat /proc/self/cgroup
sleep infinity &
pid=$!
ok "cgclassify" cgclassify -g memory:lab $pid
ok "moves a process" is "0::/lab" cat /proc/$pid/cgroup
counted() { [ "$(cgget -n -v -r memory.pt.peak lab)" -gt 0 ]; }
ok "page tables in the group are counted" counted
kill $pid

# Tables that nothing is left in: reclaimed by the budget, and by hand.
cgset -r memory.pt.high=max lab
cgexec -g memory:lab tables 2048 empty &
pid=$!
many() { [ "$(cgget -n -v -r memory.pt.current lab)" -gt $((4 * M)) ]; }
few() { [ "$(cgget -n -v -r memory.pt.current lab)" -lt $((1 * M)) ]; }
ok "a process with 8 MiB of empty tables" soon many
ok "cgset -r memory.pt_reclaim=max" cgset -r memory.pt_reclaim=max lab
ok "frees them" soon few
ok "cgset -r memory.pt_reclaim=0 does nothing, and no harm" cgset -r memory.pt_reclaim=0 lab
kill $pid
wait $pid 2>/dev/null
cgexec -g memory:lab tables 2048 empty &
pid=$!
ok "once more" soon many
ok "a budget below them" cgset -r memory.pt.high=512K lab
ok "frees them, too" soon few
ok "and nobody was killed" lives $pid
kill $pid
wait $pid 2>/dev/null

# ---- cgset --copy-from: reads and writes back every file ----

cgcreate -g memory:twin
cgset -r memory.pt.max=48M -r memory.pt.high=24M lab
cgexec -g memory:twin tables 2048 empty &
pid=$!
in_twin() { [ "$(cgget -n -v -r memory.pt.current twin)" -gt $((4 * M)) ]; }
ok "a process with empty tables in a second group" soon in_twin
cgset --copy-from lab twin 2>/dev/null
ok "cgset --copy-from copies memory.pt.max" is $((48 * M)) read_back twin/memory.pt.max
ok "and memory.pt.high" is $((24 * M)) read_back twin/memory.pt.high
ok "and does not fire memory.pt_reclaim" in_twin
kill $pid
wait $pid 2>/dev/null
ok "cgdelete" cgdelete -g memory:twin

# ---- who may ----

useradd -m bob
mkdir $group/bob
chown bob $group/bob $group/bob/cgroup.procs $group/bob/cgroup.subtree_control \
	$group/bob/memory.pt_reclaim
bob() { setpriv --reuid bob --regid bob --clear-groups "$@"; }
ok "a delegated group: its owner cannot raise the budget" \
	fails bob cgset -r memory.pt.max=1G bob
ok "but can make groups below" bob mkdir $group/bob/sub
ok "and ask for a reclaim" bob sh -c "echo max >$group/bob/memory.pt_reclaim"
# cgset opens for reading as well, and a write-only file is not to be read.
ok "cgset cannot, unless the file is made readable" \
	fails bob cgset -r memory.pt_reclaim=max bob
chmod 0644 $group/bob/memory.pt_reclaim
ok "as systemd does it with delegated files" bob cgset -r memory.pt_reclaim=max bob
ok "reading it still fails" fails cat $group/bob/memory.pt_reclaim

# ---- cgconfigparser, with the sample ----

ok "cgconfigparser takes the sample" cgconfigparser -l $conf
ok "web" is "$((96 * M)) $((128 * M))" \
	sh -c "echo \$(cat $group/web/memory.pt.high $group/web/memory.pt.max)"
ok "web/app" is $((64 * M)) read_back web/app/memory.pt.max
ok "batch" is "$((16 * M)) max" \
	sh -c "echo \$(cat $group/batch/memory.pt.high $group/batch/memory.pt.max)"
ok "a program in web/app" is "0::/web/app" cgexec -g memory:web/app cat /proc/self/cgroup
printf 'group wrong { memory { memory.pt.none = "1"; } }\n' >/tmp/wrong.conf
ok "an unknown file fails" fails cgconfigparser -l /tmp/wrong.conf
ok "cgclear removes the groups" cgclear -l $conf
ok "all of them" [ ! -d $group/web ]

# ---- cgsnapshot ----

# Debian ships no list of variables to leave out, without which it wants -b.
: >/tmp/deny
snapshot() { cgsnapshot -b /tmp/deny memory >/tmp/snap 2>/tmp/snap.err || [ -s /tmp/snap ]; }
ok "cgsnapshot" snapshot
ok "has the budget" grep -q "memory.pt.max=\"$((48 * M))\"" /tmp/snap
ok "and does not fire memory.pt_reclaim" fails grep "memory.pt_reclaim=\"..*\"" /tmp/snap
cgdelete -g memory:lab

finish
