#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Containers of crun, runc, podman and LXC with memory.pt.max: where it lands, that it
# stays, and that it holds. /usr/local/bin/filler fills page tables and gives the
# memory back.
# shellcheck disable=SC2317 # what ok, soon and is call
# shellcheck source=tests/debian/lib.sh
. /tests/lib.sh
# shellcheck source=tests/debian/containers-lib.sh
. /tests/containers-lib.sh

M=1048576
state_is() { "$2" state "$3" | grep -q "\"status\": \"$1\""; }

for runtime in crun runc; do
	for driver in cgroupfs systemd; do
		name=$runtime-$driver
		bundle "$name" $driver '"memory.pt.max": "64M", "memory.pt.high": "33554432"' sleep 1000
		flag=
		[ $driver = cgroupfs ] || flag=--systemd-cgroup
		# shellcheck disable=SC2086 # one flag or none
		ok "$name: a container starts" started $runtime $flag run -d -b "/srv/$name" \
			--pid-file "/run/$name.pid" "$name"
		pid=$(cat "/run/$name.pid")
		note "$name: $(cgroup_of_pid "$pid")"
		ok "$name: its cgroup has memory.pt.max" is $((64 * M)) inside "$pid" memory.pt.max
		ok "$name: and memory.pt.high" is $((32 * M)) inside "$pid" memory.pt.high
		reload
		ok "$name: they stay over daemon-reload" is $((64 * M)) inside "$pid" memory.pt.max
		ok "$name: it ends" gone $runtime "$name" "$pid"
	done
	name=$runtime-bad
	bundle "$name" cgroupfs '"memory.pt.max": "much"' sleep 1000
	ok "$runtime: a wrong size is refused" refuses "nvalid argument" $runtime run -d -b "/srv/$name" "$name"
	$runtime delete -f "$name" >/dev/null 2>&1
	name=$runtime-request
	bundle "$name" cgroupfs '"memory.pt_reclaim": "64M"' sleep 1000
	ok "$runtime: a request for reclaim among the settings is refused" \
		refuses "emporarily unavailable" $runtime run -d -b "/srv/$name" "$name"
	$runtime delete -f "$name" >/dev/null 2>&1
	name=$runtime-inside
	MOUNT=$own_cgroup_mount SPACE=$own_cgroup_space
	bundle "$name" cgroupfs '"memory.pt.max": "64M"' sleep 1000
	MOUNT='' SPACE=''
	ok "$runtime: a container with a name space of cgroups, which may write there, starts" \
		started $runtime run -d -b "/srv/$name" --pid-file "/run/$name.pid" "$name"
	within_it() { $runtime exec "$name" sh -c "$1" </dev/null; }
	ok "$runtime: sees its own limit" is $((64 * M)) within_it "cat /sys/fs/cgroup/memory.pt.max"
	ok "$runtime: and can write to its group" within_it \
		"mkdir /sys/fs/cgroup/own && test -d /sys/fs/cgroup/own"
	for file in max high; do
		ok "$runtime: but cannot change memory.pt.$file" refuses "ermi" within_it \
			"echo 1G >/sys/fs/cgroup/memory.pt.$file"
	done
	ok "$runtime: it is as it was" is $((64 * M)) inside "$(cat "/run/$name.pid")" memory.pt.max
	ok "$runtime: asking for a reclaim it can" within_it "echo max >/sys/fs/cgroup/memory.pt_reclaim"
	ok "$runtime: it ends" gone $runtime "$name" "$(cat "/run/$name.pid")"
	name=$runtime-holds
	bundle "$name" cgroupfs '"memory.pt.high": "1M"' filler 1024 0 /tmp/ready
	rm -f /srv/root/tmp/ready
	ok "$runtime: a program that touches 2 GB and gives them back starts" started $runtime run -d \
		-b "/srv/$name" --pid-file "/run/$name.pid" "$name"
	pid=$(cat "/run/$name.pid")
	ok "$runtime: it has done so" soon test -e /srv/root/tmp/ready
	ok "$runtime: its page tables are within memory.pt.high" soon within "$M" "$pid"
	note "$runtime: $(inside "$pid" memory.pt.peak) bytes at most, now $(inside "$pid" memory.pt.current)"
	ok "$runtime: it ends" gone $runtime "$name" "$pid"
	name=$runtime-over
	bundle "$name" cgroupfs '"memory.pt.max": "1M"' filler 1024 1 /tmp/never
	ok "$runtime: a program whose tables in use are over memory.pt.max starts" started $runtime run \
		-d -b "/srv/$name" --pid-file "/run/$name.pid" "$name"
	ok "$runtime: it is killed" soon grep -q 'oom_kill [1-9]' "$group/box/$name/memory.pt.events"
	ok "$runtime: and says that it has stopped" soon state_is stopped $runtime "$name"
	$runtime delete -f "$name"
done

for manager in systemd cgroupfs; do
	for runtime in crun runc; do
		name=podman-$manager-$runtime
		ok "$name: a container starts" started podman --runtime $runtime --cgroup-manager $manager \
			run -d --name "$name" --network host --cgroup-conf memory.pt.max=48M \
			--rootfs /srv/root sleep 1000
		pid=$(podman inspect -f '{{.State.Pid}}' "$name")
		note "$name: $(cgroup_of_pid "$pid")"
		ok "$name: its cgroup has memory.pt.max" is $((48 * M)) inside "$pid" memory.pt.max
		ok "$name: and shows it inside" is $((48 * M)) podman --runtime $runtime \
			--cgroup-manager $manager exec "$name" cat /sys/fs/cgroup/memory.pt.max
		reload
		ok "$name: it stays over daemon-reload" is $((48 * M)) inside "$pid" memory.pt.max
		ok "$name: the container cannot change it" refuses "ead-only" podman --runtime $runtime \
			--cgroup-manager $manager exec "$name" sh -c "echo max >/sys/fs/cgroup/memory.pt.max"
		by_hand() { echo "$2" >"$group$(cgroup_of_pid "$pid")/$1"; }
		ok "$name: on the host it can be changed" by_hand memory.pt.max 96M
		ok "$name: which is seen inside" is $((96 * M)) podman --runtime $runtime \
			--cgroup-manager $manager exec "$name" cat /sys/fs/cgroup/memory.pt.max
		ok "$name: and a reclaim be asked for" by_hand memory.pt_reclaim max
		ok "$name: it ends" podman --runtime $runtime --cgroup-manager $manager rm -f -t 0 "$name"
	done
done

# A budget for all containers below a slice, by X-MemoryPageTableMax=.
{ echo "[Slice]"; echo "X-MemoryPageTableMax=80M"; } | unit tenants.slice
reload
for runtime in crun runc; do
	name=podman-tenants-$runtime
	ok "$name: --cgroup-parent tenants.slice" started podman --runtime $runtime \
		--cgroup-manager systemd run -d --name "$name" --network host \
		--cgroup-parent tenants.slice --rootfs /srv/root sleep 1000
	pid=$(podman inspect -f '{{.State.Pid}}' "$name")
	below() { case $(cgroup_of_pid "$pid") in /tenants.slice/*) ;; *) cgroup_of_pid "$pid"; false ;; esac; }
	ok "$name: it is below the slice" below
	ok "$name: which has its budget" soon is $((80 * M)) cat $group/tenants.slice/memory.pt.max
	ok "$name: it ends" podman --runtime $runtime --cgroup-manager systemd rm -f -t 0 "$name"
done

# LXC: a container of its own configuration, over the same root.
mkdir -p /var/lib/lxc/box
cat >/var/lib/lxc/box/config <<-CONF
	lxc.uts.name = box
	lxc.rootfs.path = dir:/srv/root
	lxc.init.cmd = /bin/sleep 1000
	lxc.net.0.type = none
	lxc.mount.auto = proc:mixed
	lxc.apparmor.profile = unconfined
	lxc.cgroup2.memory.pt.max = 64M
CONF
ok "lxc: a container starts" started lxc-start -n box -l INFO -o /run/lxc.log
pid=$(lxc-info -n box -p -H)
note "lxc: $(cgroup_of_pid "$pid")"
ok "lxc: its cgroup has memory.pt.max" is $((64 * M)) inside "$pid" memory.pt.max
ok "lxc-cgroup changes it" started lxc-cgroup -n box memory.pt.max 96M
ok "lxc: it has changed" is $((96 * M)) lxc-cgroup -n box memory.pt.max
ok "lxc: and so has the file" is $((96 * M)) inside "$pid" memory.pt.max
reload
ok "lxc: it stays over daemon-reload" is $((96 * M)) inside "$pid" memory.pt.max
ok "lxc: it ends" lxc-stop -k -n box
sed -i 's/= 64M$/= much/' /var/lib/lxc/box/config
ok "lxc: with a wrong size the container does not start" fails started lxc-start -n box \
	-l ERROR -o /run/lxc-bad.log
ok "lxc: the log names the file" grep -q memory.pt.max /run/lxc-bad.log

# podman's own units want overlayfs, LXC's network a bridge: a lean kernel has neither.
ok "nothing else has failed" is "" sh -c \
	"systemctl list-units --failed --plain --no-legend | grep -v '^podman\|^lxc-net'"
finish
