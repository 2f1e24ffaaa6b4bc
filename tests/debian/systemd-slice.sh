#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# X-MemoryPageTable*= in slices and scopes, and ptfree-systemd run.
# shellcheck disable=SC2317 # what ok, soon and is call
# shellcheck source=tests/debian/lib.sh
. /tests/lib.sh

M=1048576
X="X-MemoryPageTableMax"

in_slice() {	# in_slice SLICE SERVICE
	unit "$2" <<-UNIT
		[Service]
		Slice=$1
		ExecStart=/bin/sleep infinity
	UNIT
}
slice() {	# slice PATH LINE...
	path=$1
	shift
	{ echo "[Slice]"; printf '%s\n' "$@"; } | unit "$path"
}

# ---- slices ----

slice s1.slice "$X=64M" "X-MemoryPageTableHigh=32M"
slice s2.slice.d/pt.conf "$X=2M"
slice app-web.slice "$X=3M"
slice team-.slice.d/pt.conf "$X=4M"
slice 's3-a\x2db.slice' "$X=5M"
in_slice s1.slice s1a.service
in_slice s1.slice s1b.service
in_slice s2.slice s2a.service
in_slice app-web.slice web.service
in_slice team-red.slice red.service
in_slice 's3-a\x2db.slice' esc.service
reload
systemctl start s1a s1b s2a web red esc
ok "a slice's file" soon is $((64 * M)) knob s1.slice memory.pt.max
ok "and its memory.pt.high" soon is $((32 * M)) knob s1.slice memory.pt.high
ok "a slice without a file, with a drop-in" soon is $((2 * M)) knob s2.slice memory.pt.max
ok "a slice inside a slice" soon is $((3 * M)) knob app-web.slice memory.pt.max
ok "is where systemd puts it" is $((3 * M)) cat $group/app.slice/app-web.slice/memory.pt.max
ok "a drop-in for a prefix" soon is $((4 * M)) knob team-red.slice memory.pt.max
ok "a name with an escape" soon is $((5 * M)) knob 's3-a\x2db.slice' memory.pt.max
systemctl restart s1a
systemctl stop s1b
ok "services of the slice come and go" is $((64 * M)) knob s1.slice memory.pt.max
reload
ok "daemon-reload has everything looked at again" soon applied
ok "and keeps it" is $((64 * M)) knob s1.slice memory.pt.max
systemctl daemon-reexec
ok "daemon-reexec keeps it" is $((64 * M)) knob s1.slice memory.pt.max
systemctl set-property --runtime s1.slice MemoryHigh=1G CPUWeight=50
ok "set-property of something else keeps it" is $((64 * M)) knob s1.slice memory.pt.max
systemctl stop s1.slice
ok "stopped, its companion stops" soon fails systemctl is-active ptfree-unit@s1.slice.service
systemctl start s1a
ok "started again, it has its budget" soon is $((64 * M)) knob s1.slice memory.pt.max
slice s1.slice "$X=65M"
reload
ok "daemon-reload with another value" soon is $((65 * M)) knob s1.slice memory.pt.max
ok "and a line removed" soon is max knob s1.slice memory.pt.high
slice system.slice.d/pt.conf "$X=900M"
slice user-.slice.d/pt.conf "$X=90M"
reload
ok "system.slice, which always runs" soon is $((900 * M)) knob system.slice memory.pt.max
slice r1.slice "$X=6M" "X-MemoryPageTableRequired=yes"
slice r2.slice "$X=six" "X-MemoryPageTableRequired=yes"
in_slice r1.slice r1a.service
in_slice r2.slice r2a.service
reload
systemctl start r1a
ok "Required=yes: a slice with its budget runs" soon is $((6 * M)) knob r1.slice memory.pt.max
ok "and what is in it" systemctl is-active r1a.service
systemctl start r2a 2>/dev/null
ok "Required=yes with a bad size: the slice ends" soon fails systemctl is-active r2.slice
ok "and what was in it" soon fails systemctl is-active r2a.service
ok "with a line that says why" journal_has "r2.slice: a setting for page tables is wrong"

# ---- scopes ----

{ echo "[Scope]"; echo "$X=7M"; } | unit job-.scope.d/pt.conf
reload
systemd-run --quiet --scope --unit=job-1 sleep infinity &
ok "a scope, by a drop-in for its prefix" soon is $((7 * M)) knob job-1.scope memory.pt.max
reload
soon applied
ok "daemon-reload keeps it" is $((7 * M)) knob job-1.scope memory.pt.max
{ echo "[Scope]"; echo "$X=8M"; } | unit job-.scope.d/pt.conf
reload
ok "daemon-reload with another value" soon is $((8 * M)) knob job-1.scope memory.pt.max
systemctl stop job-1.scope
ok "stopped, its companion stops" soon fails systemctl is-active ptfree-unit@job-1.scope.service
systemd-run --quiet --scope --unit=x1 --slice=s2.slice ptfree-systemd exec --max=9M -- \
	sleep infinity &
ok "ptfree-systemd exec in a scope" soon is $((9 * M)) knob x1.scope memory.pt.max
reload
soon applied
ok "daemon-reload keeps that" is $((9 * M)) knob x1.scope memory.pt.max
systemctl stop x1.scope

# ---- ptfree-systemd run ----

ok "run: a service" ptfree-systemd run --quiet --unit=t1 --max=10M --high=1% \
	-p DynamicUser=yes -- sleep infinity
ok "has its budget" is $((10 * M)) knob t1.service memory.pt.max
high=$(ptfree-systemd size 1%)
ok "and the share of memory" is $((high / 4096 * 4096)) knob t1.service memory.pt.high
reload
soon applied
ok "daemon-reload keeps it" is $((10 * M)) knob t1.service memory.pt.max
systemctl stop t1
ptfree-systemd run --scope --unit=t2 --quiet --max=11M --required -- sleep infinity &
ok "run --scope" soon is $((11 * M)) knob t2.scope memory.pt.max
systemctl stop t2.scope
ok "run passes the command's exit code on" \
	sh -c 'ptfree-systemd run --scope --quiet --max=1G -- sh -c "exit 7"; [ $? = 7 ]'
ok "run with a wrong size fails" fails ptfree-systemd run --max=1X -- true
ok "run without a command fails" fails ptfree-systemd run --max=1M
# shellcheck disable=SC2016 # for the shell in the service
ok "the command sees its budget" is "12582912 two words" ptfree-systemd run --quiet --pipe --wait \
	--max=12M -- sh -c 'cat "/sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup)/memory.pt.max" |
	tr "\n" " "; echo "$1"' sh "two words"

finish
