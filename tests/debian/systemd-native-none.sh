#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Runs in the Debian image, with the patched systemd as its init, on a kernel
# without memory.pt.*: units that use the settings work as if they did not.
# shellcheck disable=SC2317 # what ok calls
# shellcheck source=tests/debian/lib.sh
. /tests/lib.sh

units=/etc/systemd/system
export SYSTEMD_COLORS=0 SYSTEMD_PAGER=cat LC_ALL=C.UTF-8
MB=1048576

# eq GOT WANTED TEXT
eq() { ok "$3" [ "$1" = "$2" ]; }
# like GOT REGEX TEXT
matches() { printf '%s\n' "$1" | grep -Eq -e "$2"; }
like() { ok "$3" matches "$1" "$2"; }
show() { systemctl show -P "$2" -- "$1"; }
complaints() {
	journalctl --sync
	journalctl -b -p info -o cat | grep -E 'memory\.pt|PageTable' || echo none
}

like "$(systemctl show -P Version)" 'ptfree$' "the patched systemd is the init"
ok "the kernel has no memory.pt.max" [ ! -e $group/init.scope/memory.pt.max ]

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
ok "a slice, a service and a mount with limits start" systemctl start pt-a.service mnt-pt.mount
eq "$(systemctl is-active pt.slice pt-a.service mnt-pt.mount | paste -sd' ')" "active active active" "and run"
ok "so does systemd-run -p" systemd-run -q --wait -p MemoryPageTableMax=8M true
ok "and a scope" systemd-run -q --scope -p MemoryPageTableMax=8M true
ok "set-property succeeds" systemctl set-property pt-a.service MemoryPageTableMax=40M
eq "$(show pt-a.service MemoryPageTableMax)" $((40 * MB)) "and is remembered"
systemctl daemon-reload
systemctl daemon-reexec
ok "set-property infinity succeeds" systemctl set-property pt-a.service MemoryPageTableMax=infinity
ok "restart" systemctl restart pt-a.service
ok "revert" systemctl revert pt-a.service
eq "$(show pt-a.service MemoryPageTableMax)" $((64 * MB)) "back at the unit file's"
eq "$(complaints)" none "nothing of this is in the journal"

same() {	# memory.stat is flushed lazily
	is "$(sed -n 's/^pagetables //p' "$group$(show pt-a.service ControlGroup)/memory.stat")" \
		show pt-a.service MemoryPageTableCurrent
}
ok "MemoryPageTableCurrent is known" [ "$(show pt-a.service MemoryPageTableCurrent)" -gt 0 ]
ok "and comes from memory.stat" soon same
eq "$(show pt-a.service MemoryPageTablePeak)" "[not set]" "MemoryPageTablePeak is not known"
eq "$(show pt-a.service EffectiveMemoryPageTableMax) $(show pt-a.service EffectiveMemoryPageTableHigh)" \
	"infinity infinity" "no limit is in effect"
like "$(systemctl status pt-a.service)" \
	'^ PageTables: [0-9.]+[KM] \(high: 48.0M effective high: infinity max: 64.0M effective max: infinity\)$' \
	"status says so"
ok "no line where no limit was asked for" fails matches "$(systemctl status systemd-journald.service)" PageTables

systemctl log-level debug
systemctl restart pt-a.service
systemctl log-level info
journalctl --sync
like "$(journalctl -b -p debug -o cat UNIT=pt-a.service)" "Failed to set 'memory.pt.max' attribute on '/pt.slice/pt-a.service' to '67108864': No such file" \
	"the debug log says that the attribute is missing"
eq "$(systemctl list-units --failed --plain --no-legend | grep -v '^$')" "" "no unit has failed"
finish
