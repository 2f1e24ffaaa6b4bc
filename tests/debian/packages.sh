#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The packages on a machine whose units use them: installed while units run,
# installed again over themselves, and removed.
# shellcheck disable=SC2317 # what ok, soon and is call
# shellcheck source=tests/debian/lib.sh
. /tests/lib.sh

M=1048576
X="X-MemoryPageTableMax"
export DEBIAN_FRONTEND=noninteractive
metrics=/var/lib/prometheus/node-exporter/ptfree.prom

# Everything on the machine but what any installation changes.
everything() {
	find / -xdev \( -path /var/lib/dpkg -o -path /var/log -o -path /var/cache -o -path /tmp \
		-o -path /root -o -path /var/tmp -o -path /home -o -path /var/lib/systemd/timers \) \
		-prune -o -print | sort
}
pids() { systemctl show -P MainPID early bound user@"$uid" | paste -sd' '; }
state() { systemctl show -P ActiveState "$@" | sed '/^$/d' | paste -sd' '; }

useradd -m -s /bin/sh ada
uid=$(id -u ada)
mine() {
	setpriv --reuid ada --regid ada --init-groups env HOME=/home/ada \
		XDG_RUNTIME_DIR="/run/user/$uid" systemctl --user "$@"
}
mkdir -p ${metrics%/*}
unit early.service <<-UNIT
	[Service]
	ExecStart=/bin/sleep infinity
	$X=16M
UNIT
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
unit late.service <<-UNIT
	[Service]
	ExecStart=/bin/sleep infinity
	$X=64M
UNIT
unit /home/ada/.config/systemd/user/own.service <<-UNIT
	[Service]
	ExecStart=/bin/sleep infinity
	$X=3M
UNIT
chown -R ada: /home/ada
loginctl enable-linger ada
ok "a user's manager runs" soon mine is-system-running
reload
systemctl start early
ok "before: units start without the package" is active state early
everything >/root/before

ok "dpkg -i of both" dpkg -i /srv/ptfree_*.deb /srv/ptfree-dev_*.deb
ok "dpkg finds nothing missing in them" dpkg --audit
ok "what ran before has its budget now" soon is $((16 * M)) knob early.service memory.pt.max
ok "a unit that starts has it" systemctl start late
ok "at once" is $((64 * M)) knob late.service memory.pt.max
ok "a slice that requires its budget" systemctl start bound
ok "has it" soon is $((32 * M)) knob strict.slice memory.pt.max
mine daemon-reload
mine start own
ok "has it, too" soon is $((3 * M)) cat "$group$(mine show -P ControlGroup own)/memory.pt.max"
ok "the check at boot is on" is enabled systemctl is-enabled ptfree-status.service
ok "the metrics are not" is disabled systemctl is-enabled ptfree-metrics.timer
ok "all that is configured is in force" ptfree status
ok "the check says so" systemctl start ptfree-status.service
ok "the timer can be enabled" systemctl enable --now ptfree-metrics.timer
ok "and writes metrics" soon test -s $metrics
ok "the header is there" test -s /usr/include/ptfree.h
ok "systemd finds nothing wrong with the units" is "" systemd-analyze verify --man=no \
	ptfree-status.service ptfree-metrics.service ptfree-metrics.timer ptfree-apply.path

was=$(pids)
ok "installed again over itself, as by an upgrade" dpkg -i /srv/ptfree_*.deb
ok "no process has noticed" is "$was" pids
ok "budgets hold" is "$((16 * M)) $((32 * M))" sh -c "echo \$(cat \
	$group/system.slice/early.service/memory.pt.max $group/strict.slice/memory.pt.max)"
ok "what was enabled is" is enabled systemctl is-enabled ptfree-metrics.timer

ok "dpkg -r" dpkg -r ptfree ptfree-dev
ok "no process has noticed, not even where a budget is required" is "$was" pids
ok "no unit has failed" is "" systemctl list-units --failed --plain --no-legend
ok "all units start again" systemctl restart early late bound
ok "and run" is "active active active" state early late bound
ok "without a budget" is max knob late.service memory.pt.max
ok "a user's unit starts" mine restart own
ok "without one" is max cat "$group$(mine show -P ControlGroup own)/memory.pt.max"
everything >/root/after
ok "no file is left of them" diff /root/before /root/after
ok "nothing is left in /run" is "" find /run -path /run/systemd/units -prune -o \
	\( -name '*ptfree*' ! -name 'ptfree-run*' ! -path /run/ptfree -o -path /run/ptfree/used \) -print
ok "no unit of them is loaded" is "" sh -c \
	"systemctl list-units --all --plain --no-legend 'ptfree-*' | grep -v ptfree-run"
ok "purging has nothing more to do" dpkg -P ptfree ptfree-dev
everything >/root/after
ok "and nothing is left" diff /root/before /root/after
finish
