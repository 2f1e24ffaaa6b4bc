#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# What crun, runc, podman and LXC say on a kernel without memory.pt.max.
# shellcheck disable=SC2317 # what ok, soon and is call
# shellcheck source=tests/debian/lib.sh
. /tests/lib.sh
. /tests/containers-lib.sh

ok "this kernel has no budgets" [ ! -e $group/init.scope/memory.pt.max ]
for runtime in crun runc; do
	bundle $runtime cgroupfs '"memory.pt.max": "64M"' sleep 1000
	ok "$runtime refuses the container" refuses "memory.pt.max.*[Nn]o such file" \
		$runtime run -d -b /srv/$runtime $runtime
	note "$(cat /run/started)"
	$runtime delete -f $runtime >/dev/null 2>&1
	ok "podman with $runtime refuses it" refuses "memory.pt.max.*[Nn]o such file" podman --runtime $runtime \
		run -d --name p-$runtime --network host --cgroup-conf memory.pt.max=64M \
		--rootfs /srv/root sleep 1000
	note "$(cat /run/started)"
	podman rm -f -t 0 p-$runtime >/dev/null 2>&1
done
mkdir -p /var/lib/lxc/box
printf '%s\n' "lxc.uts.name = box" "lxc.rootfs.path = dir:/srv/root" "lxc.net.0.type = none" \
	"lxc.init.cmd = /bin/sleep 1000" "lxc.apparmor.profile = unconfined" \
	"lxc.cgroup2.memory.pt.max = 64M" >/var/lib/lxc/box/config
ok "LXC does not start the container" fails started lxc-start -n box -l ERROR -o /run/lxc.log
ok "its log names the file" grep -q memory.pt.max /run/lxc.log
note "$(grep -m 1 memory.pt.max /run/lxc.log)"
finish
