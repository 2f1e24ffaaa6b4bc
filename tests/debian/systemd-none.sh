#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# X-MemoryPageTable*= on a kernel without budgets for page tables: everything
# starts, with one line in the journal, but for what requires its budget.
# shellcheck disable=SC2317 # what ok, soon and is call
# shellcheck source=tests/debian/lib.sh
. /tests/lib.sh

X="X-MemoryPageTableMax"
why="no budget for page tables: this kernel has no page-table budgets"

ok "this kernel has no budgets" [ ! -e $group/init.scope/memory.pt.max ]
for name in n1 n2 n3; do
	unit $name.service <<-UNIT
		[Service]
		ExecStart=/bin/sleep infinity
		$X=64M
		X-MemoryPageTableHigh=32M
	UNIT
done
echo "X-MemoryPageTableRequired=yes" >>/etc/systemd/system/n2.service
{ echo "[Service]"; echo "RootDirectory=/"; } | unit n3.service.d/root.conf
for name in m1 m2; do
	unit $name.slice <<-UNIT
		[Slice]
		$X=64M
	UNIT
	unit in-$name.service <<-UNIT
		[Service]
		Slice=$name.slice
		ExecStart=/bin/sleep infinity
	UNIT
done
echo "X-MemoryPageTableRequired=yes" >>/etc/systemd/system/m2.slice
{ echo "[Scope]"; echo "$X=7M"; } | unit job-.scope.d/pt.conf
reload
once() {
	journalctl -q --sync
	is 1 sh -c "journalctl -q -o cat -b | grep -F -c '$1: $why'"
}
ok "a service starts" systemctl start n1
ok "with one line in the journal" once n1.service
ok "that stands with the unit" journal_has "$why" -u n1.service
ok "Required=yes: the service fails" fails systemctl start n2
ok "with one line that says why" once n2.service
reload
ok "daemon-reload has everything looked at again" soon applied
ok "and says nothing again" once n1.service
ok "the state of what has failed is failed" is failed systemctl show -P ActiveState n2
ok "a service with RootDirectory=/ starts" systemctl start n3
ok "services of a slice start" systemctl start in-m1
ok "with one line in the journal" soon once m1.slice
ok "that stands with the slice" journal_has "$why" -u m1.slice
ok "and run" systemctl is-active in-m1
systemctl start in-m2 2>/dev/null
ok "Required=yes: the slice ends" soon fails systemctl is-active m2.slice
ok "and what is in it" soon fails systemctl is-active in-m2
ok "with one line that says why" once m2.slice
systemd-run --quiet --scope --unit=job-1 sleep infinity &
ok "a scope starts" soon systemctl is-active job-1.scope
ok "with one line in the journal" soon once job-1.scope
systemctl stop job-1.scope
ok "ptfree-systemd run starts a service" \
	ptfree-systemd run --quiet --unit=t1 --max=1M -- sleep infinity
ok "with one line in the journal" journal_has "$why" -u t1.service
ok "and a scope" ptfree-systemd run --quiet --scope --max=1M -- true
ok "with --required it does not" fails ptfree-systemd run --quiet --scope --max=1M --required -- true
# ---- a user's units ----

useradd -m -s /bin/sh ada
uid=$(id -u ada)
mine() {
	setpriv --reuid ada --regid ada --init-groups env -C /home/ada HOME=/home/ada \
		XDG_RUNTIME_DIR="/run/user/$uid" systemctl --user "$@"
}
for name in u1 u2; do
	unit /home/ada/.config/systemd/user/$name.service <<-UNIT
		[Service]
		ExecStart=/bin/sleep infinity
		$X=3M
	UNIT
done
echo "X-MemoryPageTableRequired=yes" >>/home/ada/.config/systemd/user/u2.service
unit /home/ada/.config/systemd/user/us.slice <<-UNIT
	[Slice]
	$X=3M
UNIT
chown -R ada: /home/ada
loginctl enable-linger ada
ok "a user's manager runs" soon mine is-system-running
ok "a user's unit starts" mine start u1
ok "with one line in the journal" once u1.service
ok "and a slice of the user" mine start us.slice
ok "with one line in the journal" soon once us.slice
ok "Required=yes: the user's unit fails" fails mine start u2
ok "with one line that says why" once u2.service
mine daemon-reload
ok "the user's daemon-reload has everything looked at again" soon is inactive \
	mine show -P ActiveState ptfree-apply.service
ok "and says nothing again" once u1.service
ok "nothing else of the user has failed" is "u2.service" \
	sh -c "echo \$(setpriv --reuid ada --regid ada --init-groups env XDG_RUNTIME_DIR=/run/user/$uid \
	systemctl --user list-units --failed --plain --no-legend | cut -d' ' -f1)"

ok "nothing else has failed" is "n2.service ptfree-unit@m2.slice.service" \
	sh -c "echo \$(systemctl list-units --failed --plain --no-legend | cut -d' ' -f1)"
finish
