#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# ptfree-systemd is removed from a machine whose units use it; run as the last.
# shellcheck disable=SC2317 # what ok, soon and is call
# shellcheck source=tests/debian/lib.sh
. /tests/lib.sh

X="X-MemoryPageTableMax"

unit gone.service <<-UNIT
	[Service]
	ExecStart=/bin/sleep infinity
	$X=64M
UNIT
unit gone-in.service <<-UNIT
	[Service]
	Slice=gone.slice
	ExecStart=/bin/sleep infinity
UNIT
unit gone.slice <<-UNIT
	[Slice]
	$X=128M
UNIT
reload
# As on a machine where it was installed a moment ago.
systemctl stop ptfree-apply.path
systemctl start gone gone-in
ok "a unit with a budget starts what watches for changes" \
	is active systemctl is-active ptfree-apply.path
ok "a service and a slice have budgets" \
	soon is "67108864 134217728" sh -c "echo \$(cat $group/system.slice/gone.service/memory.pt.max \
	$group/gone.slice/memory.pt.max)"
unit strict.slice <<-UNIT
	[Slice]
	$X=32M
	X-MemoryPageTableRequired=yes
UNIT
unit bound.service <<-UNIT
	[Service]
	Slice=strict.slice
	ExecStart=/bin/sleep infinity
UNIT
reload
systemctl start bound
ok "a slice that requires its budget has it" soon is $((32 * 1048576)) knob strict.slice memory.pt.max
ok "its companion is there" systemctl is-active ptfree-unit@strict.slice.service

# A user's units as well.
useradd -m -s /bin/sh eve
uid=$(id -u eve)
mine() {
	setpriv --reuid eve --regid eve --init-groups env HOME=/home/eve \
		XDG_RUNTIME_DIR="/run/user/$uid" systemctl --user "$@"
}
unit /home/eve/.config/systemd/user/own.slice <<-UNIT
	[Slice]
	$X=3M
UNIT
chown -R eve: /home/eve
loginctl enable-linger eve
ok "a user's manager runs" soon mine is-system-running
mine start own.slice
ok "a slice of the user has its budget" soon is $((3 * 1048576)) cat \
	"$group$(mine show -P ControlGroup own.slice)/memory.pt.max"

# The files are gone, and nothing else has happened yet.
ours() {
	find /usr/bin /usr/share/man /usr/lib/systemd ! -type d -name '*ptfree*' ! -name 'ptfree-run*' \
		! -name ptfree-status.service ! -name 'ptfree-metrics.*'
}
ours | tar -C / -cPf /root/ours.tar -T -
ours | xargs rm
ok "its files removed, and no daemon-reload yet: a unit starts" systemctl restart gone
ok "and one in a slice" systemctl restart gone-in
tar -C / -xPf /root/ours.tar
ok "and back" test -x /usr/bin/ptfree-systemd

# As the documentation says it.
pids() { systemctl show -P MainPID gone gone-in bound "user@$uid" | paste -sd' '; }
state() { systemctl show -P ActiveState "$@" | sed '/^$/d' | paste -sd' '; }
was=$(pids)
# Those of the scripts before, which were to fail
systemctl reset-failed
ok "make uninstall" make -C /srv/ptfree/tools/systemd uninstall
ok "no process has noticed, not even where a budget is required" is "$was" pids
ok "no unit has failed" is "" systemctl list-units --failed --plain --no-legend
ok "no file of it is left" is "" ours
ok "nothing is left in /etc, /usr or /run" is "" \
	find /etc /usr/lib/systemd /usr/bin /run -path /run/systemd/units -prune -o \
	\( -name '*ptfree*' ! -name 'ptfree-run*' ! -path /run/ptfree -o -path /run/ptfree/used \) -print
ok "no unit knows of it" fails grep -r ptfree-systemd /run/systemd/generator
loaded() {
	systemctl list-units --all --plain --no-legend 'ptfree-*' | grep -v ptfree-run
	mine list-units --all --plain --no-legend 'ptfree-*'
}
ok "no unit of it is loaded, nor in a user's manager" is "" loaded
ok "units start" systemctl restart gone gone-in bound
ok "and run" is "active active active" state gone gone-in bound
ok "without a budget" is max knob gone.service memory.pt.max
systemctl stop gone gone-in gone.slice
systemctl start gone-in
ok "a slice is made anew without" is max knob gone.slice memory.pt.max
ok "make uninstall once more" make -C /srv/ptfree/tools/systemd uninstall
finish
