# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh disable=SC2154,SC2034 # $group is lib.sh's, others the test's
#
# Sourced by the tests of containers: a root of busybox, bundles for it.

export XDG_RUNTIME_DIR=/run/user-0
export CONTAINERS_STORAGE_CONF=/run/storage.conf
mkdir -p $XDG_RUNTIME_DIR
printf '[storage]\ndriver = "vfs"\ngraphroot = "/run/graph"\nrunroot = "/run/graphrun"\n' \
	>$CONTAINERS_STORAGE_CONF
mkdir -p /srv/root/bin /srv/root/dev /srv/root/proc /srv/root/sys /srv/root/tmp /srv/root/etc \
	/srv/root/run /srv/root/var
cp /bin/busybox /srv/root/bin/
for word in sh sleep cat; do
	ln -sf busybox /srv/root/bin/$word
done
[ ! -e /usr/local/bin/filler ] || cp /usr/local/bin/filler /srv/root/bin/

# A mount and a name space more, for those who want to see their own cgroup.
own_cgroup_mount='{ "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup" }'
own_cgroup_space='{ "type": "cgroup" }'

# bundle NAME DRIVER UNIFIED COMMAND...: /srv/NAME/config.json; with MOUNT and SPACE
bundle() {
	name=$1 driver=$2 unified=$3
	shift 3
	args=
	for word; do
		args="$args${args:+, }\"$word\""
	done
	case $driver in
	systemd) path=system.slice:box:$name ;;
	*)	path=/box/$name ;;
	esac
	mkdir -p "/srv/$name"
	cat >"/srv/$name/config.json" <<-JSON
		{
			"ociVersion": "1.0.2",
			"process": {
				"terminal": false, "user": { "uid": 0, "gid": 0 }, "cwd": "/",
				"args": [ $args ], "env": [ "PATH=/bin" ]
			},
			"root": { "path": "/srv/root" },
			"mounts": [
				{ "destination": "/proc", "type": "proc", "source": "proc" },
				{ "destination": "/dev", "type": "tmpfs", "source": "tmpfs" }
				${MOUNT:+, $MOUNT}
			],
			"linux": {
				"cgroupsPath": "$path",
				"resources": { "unified": { $unified } },
				"namespaces": [ { "type": "pid" }, { "type": "mount" }, { "type": "ipc" }
					${SPACE:+, $SPACE} ]
			}
		}
	JSON
}

# Containers keep what they are given as standard output.
started() {
	"$@" </dev/null >/run/started 2>&1
	code=$?
	cat /run/started
	return $code
}
cgroup_of_pid() { sed -n 's/^0:://p' "/proc/$1/cgroup"; }
inside() { cat "$group$(cgroup_of_pid "$1")/$2"; }
within() {
	used=$(inside "$2" memory.pt.current)
	[ "$used" -le "$1" ] || { echo "$used bytes"; return 1; }
}
gone() {	# gone RUNTIME NAME PID
	"$1" delete -f "$2" && soon fails test -d "/proc/$3"
}
# refuses TEXT COMMAND...: the command fails, and TEXT is in what it says.
refuses() {
	text=$1
	shift
	if started "$@"; then
		return 1
	fi
	grep -q -e "$text" /run/started
}
