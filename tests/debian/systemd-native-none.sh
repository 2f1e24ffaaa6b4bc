#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# systemd-native-stock
#
# Runs in the Debian image, with the patched systemd as its init, on a kernel
# without memory.pt.*: units that use the settings work as if they did not.
set -u

units=/etc/systemd/system
export SYSTEMD_COLORS=0 SYSTEMD_PAGER=cat LC_ALL=C.UTF-8
MB=1048576
count=0
failed=0

result() {	# result RC NAME
	count=$((count + 1))
	if [ "$1" = 0 ]; then
		echo "ok $count - $2"
	else
		failed=$((failed + 1))
		echo "not ok $count - $2"
	fi
}
is() {		# is GOT WANTED NAME
	[ "$1" = "$2" ]
	result $? "$3"
	[ "$1" = "$2" ] || echo "# got '$1', wanted '$2'"
}
like() {	# like GOT REGEX NAME
	echo "$1" | grep -Eq -- "$2"
	rc=$?
	result $rc "$3"
	[ $rc = 0 ] || echo "$1" | sed "s/^/# /; 1i # no match for '$2' in:"
}
works() {	# works NAME COMMAND...
	name=$1
	shift
	out=$("$@" 2>&1)
	rc=$?
	result $rc "$name"
	[ $rc = 0 ] || echo "$out" | sed "s/^/# /"
}
show() { systemctl show -P "$2" -- "$1"; }
complaints() {
	journalctl --sync
	journalctl -b -p info -o cat | grep -E 'memory\.pt|PageTable' || echo none
}

echo "TAP version 13"
like "$(systemctl show -P Version)" 'ptfree$' "the patched systemd is the init"
[ ! -e /sys/fs/cgroup/init.scope/memory.pt.max ]
result $? "the kernel has no memory.pt.max"

printf '[Slice]\nMemoryPageTableMax=32M\n' >$units/pt.slice
cat >$units/pt-a.service <<-'END'
	[Service]
	Slice=pt.slice
	Delegate=yes
	User=nobody
	ExecStart=sleep infinity
	MemoryPageTableHigh=48M
	MemoryPageTableMax=64M
END
cat >$units/mnt-pt.mount <<-'END'
	[Mount]
	What=tmpfs
	Where=/mnt/pt
	Type=tmpfs
	MemoryPageTableMax=4M
END
systemctl daemon-reload
works "a slice, a service and a mount with limits start" systemctl start pt-a.service mnt-pt.mount
is "$(systemctl is-active pt.slice pt-a.service mnt-pt.mount | paste -sd' ')" "active active active" "and run"
works "so does systemd-run -p" systemd-run -q --wait -p MemoryPageTableMax=8M true
works "and a scope" systemd-run -q --scope -p MemoryPageTableMax=8M true
works "set-property succeeds" systemctl set-property pt-a.service MemoryPageTableMax=40M
is "$(show pt-a.service MemoryPageTableMax)" $((40 * MB)) "and is remembered"
systemctl daemon-reload
systemctl daemon-reexec
works "set-property infinity succeeds" systemctl set-property pt-a.service MemoryPageTableMax=infinity
works "restart" systemctl restart pt-a.service
works "revert" systemctl revert pt-a.service
is "$(show pt-a.service MemoryPageTableMax)" $((64 * MB)) "back at the unit file's"
is "$(complaints)" none "nothing of this is in the journal"

stat=$(sed -n 's/^pagetables //p' "/sys/fs/cgroup$(show pt-a.service ControlGroup)/memory.stat")
got=$(show pt-a.service MemoryPageTableCurrent)
[ "$got" -gt 0 ] && [ "$got" = "$stat" ]
result $? "MemoryPageTableCurrent comes from memory.stat ($got, $stat)"
is "$(show pt-a.service MemoryPageTablePeak)" "[not set]" "MemoryPageTablePeak is not known"
is "$(show pt-a.service EffectiveMemoryPageTableMax) $(show pt-a.service EffectiveMemoryPageTableHigh)" \
	"infinity infinity" "no limit is in effect"
like "$(systemctl status pt-a.service)" \
	'^ PageTables: [0-9.]+[KM] \(high: 48.0M effective high: infinity max: 64.0M effective max: infinity\)$' \
	"status says so"
if systemctl status systemd-journald.service | grep -q PageTables; then result 1 "no line where no limit was asked for"
else result 0 "no line where no limit was asked for"; fi

systemctl log-level debug
systemctl restart pt-a.service
systemctl log-level info
journalctl --sync
like "$(journalctl -b -p debug -o cat UNIT=pt-a.service)" "Failed to set 'memory.pt.max' attribute on '/pt.slice/pt-a.service' to '67108864': No such file" \
	"the debug log says that the attribute is missing"
is "$(systemctl list-units --failed --plain --no-legend | grep -v '^$')" "" "no unit has failed"
echo "1..$count"
[ $failed = 0 ]
