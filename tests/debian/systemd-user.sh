#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# X-MemoryPageTable*= in the units of a user's own service manager, which needs
# no root, and for all that a user runs.
# shellcheck disable=SC2317 # what ok, soon and is call
# shellcheck source=tests/debian/lib.sh
. /tests/lib.sh

M=1048576
X="X-MemoryPageTableMax"

useradd -m -s /bin/sh ada
uid=$(id -u ada)
top=/user.slice/user-$uid.slice/user@$uid.service
as() {	# as COMMAND...: as ada, with her manager
	setpriv --reuid ada --regid ada --init-groups env -C /home/ada HOME=/home/ada \
		XDG_RUNTIME_DIR="/run/user/$uid" "$@"
}
mine() { as systemctl --user "$@"; }
myknob() { cat "$group$(mine show -P ControlGroup "$1")/$2"; }
myunit() { unit "/home/ada/.config/systemd/user/$1" && chown -R ada: /home/ada; }

{ echo "[Slice]"; echo "$X=90M"; } | unit user-.slice.d/pt.conf
{ echo "[Service]"; echo "$X=80M"; } | unit user@.service.d/pt.conf
reload
myunit u1.service <<-UNIT
	[Service]
	ExecStart=/bin/sleep infinity
	Restart=always
	RestartSec=100ms
	$X=3M
UNIT
loginctl enable-linger ada
ok "the user's manager runs" soon mine is-system-running
ok "a budget for all that a user runs: user-.slice.d" \
	soon is $((90 * M)) knob "user-$uid.slice" memory.pt.max
ok "for the user's manager: user@.service.d" is $((80 * M)) knob "user@$uid.service" memory.pt.max
ok "the user starts a unit with a budget" mine start u1
ok "and it has it" is $((3 * M)) myknob u1.service memory.pt.max
ok "below the manager's control group" \
	is "$top/app.slice/u1.service" mine show -P ControlGroup u1
mine daemon-reload
ok "daemon-reload keeps it" is $((3 * M)) myknob u1.service memory.pt.max
mine daemon-reexec
ok "daemon-reexec keeps it" soon is $((3 * M)) myknob u1.service memory.pt.max
mine restart u1
ok "restart keeps it" is $((3 * M)) myknob u1.service memory.pt.max
was=$(mine show -P MainPID u1)
kill -9 "$was"
again() {
	now=$(mine show -P MainPID u1)
	[ "$now" != 0 ] && [ "$now" != "$was" ] && is $((3 * M)) myknob u1.service memory.pt.max
}
ok "Restart= keeps it" soon again
myunit u1.service.d/new.conf <<-UNIT
	[Service]
	$X=4M
UNIT
myunit u2.slice <<-UNIT
	[Slice]
	$X=5M
UNIT
mine daemon-reload
ok "daemon-reload with another value" soon is $((4 * M)) myknob u1.service memory.pt.max
mine start u2.slice
ok "a slice of the user" soon is $((5 * M)) myknob u2.slice memory.pt.max
ok "ptfree-systemd run --user" as ptfree-systemd run --user --quiet --unit=u3 --max=6M \
	-- sleep infinity
ok "has its budget" is $((6 * M)) myknob u3.service memory.pt.max
as ptfree-systemd run --user --scope --quiet --unit=u4 --max=7M -- sleep infinity &
ok "ptfree-systemd run --user --scope" soon is $((7 * M)) myknob u4.scope memory.pt.max
# root's name for all users' units, as an administrator would write it
{ echo "[Service]"; echo "$X=8M"; } | unit /etc/systemd/user/u5-.service.d/pt.conf
myunit u5-a.service <<-UNIT
	[Service]
	ExecStart=/bin/sleep infinity
UNIT
mine daemon-reload
mine start u5-a
ok "a drop-in for every user's units in /etc/systemd/user" \
	is $((8 * M)) myknob u5-a.service memory.pt.max
mine stop u4.scope
for size in 9M much; do
	myunit u6-$size.service <<-UNIT
		[Service]
		ExecStart=/bin/sleep infinity
		X-MemoryPageTableRequired=yes
		$X=$size
	UNIT
done
myunit off.slice <<-UNIT
	[Slice]
	DisableControllers=memory
UNIT
myunit u7.service <<-UNIT
	[Service]
	ExecStart=/bin/sleep infinity
	Slice=off.slice
	X-MemoryPageTableRequired=yes
	$X=9M
UNIT
mine daemon-reload
ok "Required=yes: a user's unit with its budget starts" mine start u6-9M
ok "and has it" is $((9 * M)) myknob u6-9M.service memory.pt.max
ok "Required=yes with a bad size: the user's unit fails" fails mine start u6-much
ok "and says why" journal_has "u6-much.service: a setting for page tables is wrong"
ok "Required=yes without the memory controller: the user's unit fails" fails mine start u7
ok "and says why" journal_has "u7.service: no budget for page tables: the memory controller is not"

# Who owns a delegated group cannot have root lift a limit that somebody set.
rm /etc/systemd/system/user@.service.d/pt.conf
reload
ok "a budget of the user's manager, removed by root" \
	soon is max knob "user@$uid.service" memory.pt.max
echo $((70 * M)) >"$group$top/memory.pt.max"
# setxattr(2) is 188 on x86_64; perl-base is in every Debian.
# shellcheck disable=SC2016 # perl's variables
as perl -e 'my ($p, $n, $v) = ($ARGV[0], "user.ptfree", "memory.pt.max ");
	exit(syscall(188, $p, $n, $v, length $v, 0) ? 1 : 0)' "$group$top"
ok "a user's mark on the group" [ $? = 0 ]
ptfree-systemd apply "user@$uid.service"
ok "a limit written by root stays" is $((70 * M)) knob "user@$uid.service" memory.pt.max
loginctl disable-linger ada
ok "the user's manager stops" soon fails systemctl is-active "user@$uid.service"
finish
