#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Runs in the Debian image, with the patched systemd as its init, on a kernel
# with memory.pt.*: MemoryPageTableHigh= and MemoryPageTableMax= in each of the
# ways in which they can be set, shown, kept and taken away.
# shellcheck disable=SC2317 # what ok calls
# shellcheck source=tests/debian/lib.sh
. /tests/lib.sh

cg=$group
units=/etc/systemd/system
export SYSTEMD_COLORS=0 SYSTEMD_PAGER=cat LC_ALL=C.UTF-8
MB=1048576

# eq GOT WANTED TEXT
eq() { ok "$3" [ "$1" = "$2" ]; }
# like GOT REGEX TEXT
matches() { printf '%s\n' "$1" | grep -Eq -e "$2"; }
like() { ok "$3" matches "$1" "$2"; }
# near GOT WANTED: give or take a tenth
near() { [ "$1" -gt $(($2 * 9 / 10)) ] && [ "$1" -lt $(($2 * 11 / 10)) ]; }
section() { echo "# $(cut -d' ' -f1 /proc/uptime) s: $1"; }
show() { systemctl show -P "$2" -- "$1"; }
dir() {
	case $1 in
	pt.slice)	echo "$cg/$1" ;;
	pt-a.service)	echo "$cg/pt.slice/$1" ;;
	pt-*.service)	echo "$cg/system.slice/$1" ;;
	*)		echo "$cg$(show "$1" ControlGroup)" ;;
	esac
}
file() { cat "$(dir "$1")/memory.pt.$2"; }
# systemctl comes back when the old manager goes. The new one answers when it has looked
# at what is to be written to the cgroups.
reexec() {
	systemctl daemon-reexec
	soon systemctl show -P Version
}

service() {	# service NAME LINE...: one that sleeps, with LINEs in [Service]
	name=$1
	shift
	{ printf '[Service]\nExecStart=sleep infinity\n'; printf '%s\n' "$@"; } | unit "$name.service"
}

# ---- the manager -------------------------------------------------------------

section "the manager"
# Of no use here, and each reload runs them all.
mkdir -p /etc/systemd/system-generators
for i in /usr/lib/systemd/system-generators/*; do
	ln -s /dev/null "/etc/systemd/system-generators/${i##*/}"
done

like "$(systemctl show -P Version)" 'ptfree$' "the patched systemd is the init"
like "$(cat /sys/kernel/cgroup/delegate)" 'memory\.pt_reclaim' "the kernel lists memory.pt_reclaim as delegatable"
SYSTEMD_TEST_DATA=/usr/lib/systemd-tests/testdata
export SYSTEMD_TEST_DATA
for i in test-cgroup-mask test-cgroup-unit-default; do
	ok "systemd's own $i" systemd-run -q --wait --pipe -p Delegate=yes -E SYSTEMD_TEST_DATA \
		"/usr/lib/systemd-tests/$i"
done
unset SYSTEMD_TEST_DATA

# ---- six types of units ------------------------------------------------------

section "six types of units"

unit pt.slice <<-'END'
	[Slice]
	MemoryPageTableHigh=80M
	MemoryPageTableMax=96M
END
service pt-a Slice=pt.slice MemoryPageTableHigh=48M MemoryPageTableMax=64M
service pt-plain
# A socket's cgroup is there while it runs a command.
unit pt-s.socket <<-'END'
	[Socket]
	ListenStream=/run/pt-s.sock
	ExecStartPre=sh -c 'cd /sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup) && cat memory.pt.high memory.pt.max >/run/pt-s.limits'
	MemoryPageTableHigh=1M
	MemoryPageTableMax=2M
END
service pt-s
unit mnt-pt.mount <<-'END'
	[Mount]
	What=tmpfs
	Where=/mnt/pt
	Type=tmpfs
	MemoryPageTableHigh=3M
	MemoryPageTableMax=4M
END
dd if=/dev/zero of=/swapfile bs=1M count=8 2>/dev/null
chmod 600 /swapfile
mkswap /swapfile >/dev/null
unit swapfile.swap <<-'END'
	[Swap]
	What=/swapfile
	MemoryPageTableHigh=5M
	MemoryPageTableMax=6M
END
mkdir -p $units/pt-dropin.scope.d
printf '[Scope]\nMemoryPageTableHigh=7M\nMemoryPageTableMax=8M\n' >$units/pt-dropin.scope.d/50-pt.conf
reload
like "$(systemd-analyze verify pt.slice pt-a.service pt-s.socket mnt-pt.mount swapfile.swap 2>&1
	echo verified)" '^verified$' "systemd-analyze verify has nothing to say"
ok "start a service, a socket, a mount and a swap" \
	systemctl start pt-a.service pt-plain.service pt-s.socket mnt-pt.mount swapfile.swap
systemd-run -q --scope --unit=pt-dropin sleep infinity &
# The scope is there when its process runs in it.
soon systemctl -q is-active pt-dropin.scope
eq "$(paste -sd' ' /run/pt-s.limits)" "$MB $((2 * MB))" "socket: both keys of the file reach the kernel"
eq "$(show pt-s.socket MemoryPageTableHigh) $(show pt-s.socket MemoryPageTableMax)" "$MB $((2 * MB))" \
	"socket: systemctl show"
for i in pt.slice:80:96 pt-a.service:48:64 mnt-pt.mount:3:4 swapfile.swap:5:6 \
	pt-dropin.scope:7:8; do
	name=${i%%:*} high=${i#*:} max=${i##*:}
	high=${high%:*}
	eq "$(file "$name" high) $(file "$name" max)" "$((high * MB)) $((max * MB))" \
		"${name##*.}: both keys of the file reach the kernel"
	eq "$(show "$name" MemoryPageTableHigh) $(show "$name" MemoryPageTableMax)" \
		"$((high * MB)) $((max * MB))" "${name##*.}: systemctl show"
done
systemctl stop pt-dropin.scope pt-s.socket mnt-pt.mount swapfile.swap

# ---- values ------------------------------------------------------------------

section "values"

ram=$(($(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo) * 1024))
i=0
for value in 8192 96K 2G 1T infinity 0 '' -5 12Q 101% 25%; do
	i=$((i + 1))
	service "pt-value$i" "MemoryPageTableMax=$value"
done
reload
i=0
for want in 8192:8192 96K:$((96 * 1024)) 2G:$((2048 * MB)) 1T:$((1048576 * MB)) infinity:infinity 0:0 \
	:infinity -5:infinity 12Q:infinity 101%:infinity; do
	i=$((i + 1))
	eq "$(show "pt-value$i.service" MemoryPageTableMax)" "${want#*:}" "MemoryPageTableMax=${want%%:*}"
done
got=$(show pt-value11.service MemoryPageTableMax)
# Of the memory that is there, whichever way that is counted.
ok "MemoryPageTableMax=25% is a quarter of the memory ($got of $ram)" near "$got" $((ram / 4))
ok "a value that nobody understands does not keep a unit from starting" systemctl start pt-value9.service
eq "$(file pt-value9.service max)" max "nor is anything written"
like "$(journalctl -b -o cat UNIT=pt-value9.service + _PID=1)" "Invalid memory limit '12Q'" "and the journal says why"
service pt-value MemoryPageTableHigh=0 MemoryAccounting=no
reload
systemctl start pt-value.service
eq "$(file pt-value.service high)" 0 "0 is written, and needs no MemoryAccounting="
systemctl stop pt-value.service

# ---- set-property ------------------------------------------------------------

section "set-property"

ok "set-property" systemctl set-property pt-a.service MemoryPageTableMax=40M MemoryPageTableHigh=30M
eq "$(file pt-a.service high) $(file pt-a.service max)" "$((30 * MB)) $((40 * MB))" "takes effect at once"
like "$(cat $units.control/pt-a.service.d/50-MemoryPageTableMax.conf)" "^MemoryPageTableMax=$((40 * MB))$" \
	"and is written to a file"
ok "set-property with a percentage" systemctl set-property pt-a.service MemoryPageTableMax=1%
ok "and with a number again" systemctl set-property pt-a.service MemoryPageTableMax=40M
systemctl restart pt-a.service
eq "$(file pt-a.service high) $(file pt-a.service max)" "$((30 * MB)) $((40 * MB))" "stays over a restart"
reload
eq "$(file pt-a.service max)" $((40 * MB)) "over daemon-reload"
reexec
eq "$(file pt-a.service max)" $((40 * MB)) "and over daemon-reexec"
systemctl revert pt-a.service
ok "set-property --runtime with a percentage" systemctl set-property --runtime pt-a.service MemoryPageTableMax=1%
got=$(file pt-a.service max)
ok "is that part of the memory ($got of $ram)" near "$got" $((ram / 100))
like "$(cat /run/systemd/system.control/pt-a.service.d/50-MemoryPageTableMax.conf)" '^MemoryPageTableMax=1.00%$' \
	"and with --runtime is kept in /run, as a percentage"
reload
eq "$(file pt-a.service max)" "$got" "in place of the number that was there"
ok "set-property infinity" systemctl set-property --runtime pt-a.service MemoryPageTableMax=infinity
eq "$(file pt-a.service max)" max "lifts the limit"
echo $((50 * MB)) >"$(dir pt-a.service)/memory.pt.max"
reload
eq "$(file pt-a.service max)" max "and stays systemd's: it was given"
ok "revert" systemctl revert pt-a.service
eq "$(file pt-a.service high) $(file pt-a.service max)" "$((48 * MB)) $((64 * MB))" "goes back to the unit file"
ok "set-property of a slice" systemctl set-property --runtime pt.slice MemoryPageTableMax=90M
eq "$(file pt.slice max)" $((90 * MB)) "takes effect at once"
said=$(systemctl set-property pt-a.service MemoryPageTableMax=many 2>&1)
like "$? $said" '^1 Failed to parse MemoryPageTableMax=' "set-property refuses what is no size"

# ---- D-Bus -------------------------------------------------------------------

section "D-Bus"

path=/org/freedesktop/systemd1/unit/pt_2da_2eservice
intro=$(busctl introspect org.freedesktop.systemd1 $path org.freedesktop.systemd1.Service)
for i in MemoryPageTableHigh MemoryPageTableMax MemoryPageTableCurrent MemoryPageTablePeak \
	EffectiveMemoryPageTableHigh EffectiveMemoryPageTableMax; do
	like "$intro" "^\\.$i +property +t " "D-Bus has $i"
done
bus() {
	busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 \
		org.freedesktop.systemd1.Manager SetUnitProperties 'sba(sv)' pt-a.service true 1 "$@" 2>&1
}
bus MemoryPageTableMax t $((20 * MB)) >/dev/null
eq "$(file pt-a.service max)" $((20 * MB)) "a number over D-Bus"
bus MemoryPageTableHighScale u 42949673 >/dev/null
got=$(file pt-a.service high)
ok "MemoryPageTableHighScale over D-Bus ($got of $ram)" near "$got" $((ram / 100))
bus MemoryPageTableMaxScale u 42949673 >/dev/null
eq "$(file pt-a.service max)" "$got" "MemoryPageTableMaxScale too"
like "$(bus MemoryPageTableCurrent t 5)" '.' "MemoryPageTableCurrent cannot be set"
systemctl revert pt-a.service

# ---- show and status ---------------------------------------------------------

section "show and status"

same() { is "$(file pt-a.service current)" show pt-a.service MemoryPageTableCurrent; }
ok "MemoryPageTableCurrent is known" [ "$(show pt-a.service MemoryPageTableCurrent)" -gt 0 ]
# With a limit, the background may free something between the two looks.
ok "and is memory.pt.current" soon same
eq "$(show pt-a.service MemoryPageTablePeak)" "$(file pt-a.service peak)" "MemoryPageTablePeak is memory.pt.peak"
got=$(show -.slice MemoryPageTableCurrent)
all=$(($(sed -n 's/^PageTables: *\([0-9]*\) kB/\1/p' /proc/meminfo) * 1024))
ok "the root slice shows the machine's ($got, $all in meminfo)" [ "$got" -gt $((all / 2)) ]
ok "and no more" [ "$got" -lt $((all * 2)) ]
eq "$(show pt-a.service EffectiveMemoryPageTableMax)" $((64 * MB)) "effective: its own limit is the lowest"
systemctl set-property --runtime pt.slice MemoryPageTableMax=16M MemoryPageTableHigh=12M
eq "$(show pt-a.service EffectiveMemoryPageTableMax) $(show pt-a.service EffectiveMemoryPageTableHigh)" \
	"$((16 * MB)) $((12 * MB))" "effective: that of the slice is"
echo 8M >"$(dir pt-a.service)/memory.pt.max"
eq "$(show pt-a.service EffectiveMemoryPageTableMax)" $((8 * MB)) "effective: that which somebody else wrote is"
eq "$(show pt-plain.service EffectiveMemoryPageTableMax)" infinity "effective: none"
eq "$(show pt-plain.service MemoryPageTableMax)" infinity "not set: infinity"
service pt-off Slice=pt.slice MemoryPageTableMax=14M
reload
eq "$(show pt-off.service EffectiveMemoryPageTableMax)" $((14 * MB)) "effective, not started: what it would get"
eq "$(show pt-off.service MemoryPageTableCurrent) $(show pt-off.service MemoryPageTablePeak)" \
	"[not set] [not set]" "current and peak, not started: not set"
eq "$(file pt-a.service max)" $((64 * MB)) "daemon-reload puts a limit that was given back"
like "$(systemctl status pt-a.service)" \
	'^ PageTables: [0-9.]+[KM] \(high: 48.0M effective high: 12.0M max: 64.0M effective max: 16.0M peak: [0-9.]+[KM]\)$' \
	"status, with limits"
like "$(systemctl status pt-plain.service)" '^ PageTables: [0-9.]+[KM] \(peak: [0-9.]+[KM]\)$' "status, without"
like "$(systemd-analyze dump pt-a.service 2>/dev/null || systemd-analyze dump)" \
	"MemoryPageTableMax: $((64 * MB))\$" "systemd-analyze dump"
systemctl revert pt.slice

# ---- systemd-run, and a user's manager ---------------------------------------

section "systemd-run, and a user's manager"

ok "systemd-run -p" systemd-run -q --unit=pt-run -p MemoryPageTableMax=10M -p MemoryPageTableHigh=5% sleep infinity
eq "$(file pt-run.service max)" $((10 * MB)) "limits the service"
reload
eq "$(file pt-run.service max)" $((10 * MB)) "which keeps it over daemon-reload"
# shellcheck disable=SC2016 # for the shell in the scope
eq "$(systemd-run -q --scope -p MemoryPageTableMax=11M sh -c \
	'cat /sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup)/memory.pt.max')" $((11 * MB)) "systemd-run --scope -p"
systemctl stop pt-run.service

useradd -m ptuser
uid=$(id -u ptuser)
loginctl enable-linger ptuser
systemctl start "user@$uid.service"
as_user() { runuser -u ptuser -- env XDG_RUNTIME_DIR="/run/user/$uid" "$@"; }
systemctl set-property --runtime "user@$uid.service" MemoryPageTableMax=70M
ok "systemd-run --user -p" as_user systemd-run --user -q --unit=pt-u -p MemoryPageTableMax=75M sleep infinity
udir=$cg$(as_user systemctl --user show -P ControlGroup pt-u.service)
eq "$(cat "$udir/memory.pt.max")" $((75 * MB)) "limits the user's service"
eq "$(as_user systemctl --user show -P EffectiveMemoryPageTableMax pt-u.service)" $((70 * MB)) \
	"whose effective limit is that of the user, set by the system's manager"
as_user systemctl --user daemon-reload
eq "$(cat "$udir/memory.pt.max")" $((75 * MB)) "the user's daemon-reload keeps it"

# ---- who writes the files ----------------------------------------------------

section "who writes the files"

both() { echo "$(file "$1" high) $(file "$1" max)"; }
outside() {	# outside UNIT: somebody else's limits
	echo 33M >"$(dir "$1")/memory.pt.high"
	echo 44M >"$(dir "$1")/memory.pt.max"
}
mine="$((33 * MB)) $((44 * MB))"
outside pt-plain.service
reload
eq "$(both pt-plain.service)" "$mine" "not set: daemon-reload leaves the files alone"
reexec
eq "$(both pt-plain.service)" "$mine" "and daemon-reexec"
systemctl set-property --runtime pt-plain.service MemoryMax=1G CPUWeight=50
eq "$(both pt-plain.service)" "$mine" "and set-property of something else"
systemctl set-property --runtime pt-plain.service MemoryPageTableHigh=22M
eq "$(both pt-plain.service)" "$((22 * MB)) $((44 * MB))" "one set: the other is left alone"
reload
eq "$(both pt-plain.service)" "$((22 * MB)) $((44 * MB))" "and by daemon-reload"
systemctl revert pt-plain.service
eq "$(both pt-plain.service)" "max $((44 * MB))" "taken away: lifted, and only what was ours"
outside pt-plain.service
reload
reload
eq "$(both pt-plain.service)" "$mine" "once"
for how in reload reexec; do
	service pt-plain MemoryPageTableMax=18M
	reload
	eq "$(file pt-plain.service max)" $((18 * MB)) "$how: a limit is set"
	# What must be remembered goes through both.
	reexec
	reload
	service pt-plain
	$how
	eq "$(both pt-plain.service)" "$((33 * MB)) max" "$how: its line is removed from the file, and it is lifted"
	outside pt-plain.service
	$how
	eq "$(both pt-plain.service)" "$mine" "$how: after that the file is somebody else's"
done
service pt-plain MemoryPageTableMax=18M
reload
systemctl restart pt-plain.service
service pt-plain MemoryPageTableMax=
reload
eq "$(file pt-plain.service max)" max "set to nothing: lifted"
service pt-plain MemoryPageTableMax=18M
reload
service pt-plain
systemctl restart pt-plain.service
eq "$(file pt-plain.service max)" $((18 * MB)) "a file that was not reloaded changes nothing"
reload
systemctl stop pt-plain.service
systemctl start pt-plain.service
outside pt-plain.service
reload
eq "$(both pt-plain.service)" "$mine" "a new cgroup has no limit of ours to lift"

# ---- delegation --------------------------------------------------------------

section "delegation"

unit pt-deleg.service <<-'END'
	[Service]
	Type=oneshot
	RemainAfterExit=yes
	User=ptuser
	Delegate=yes
	MemoryPageTableMax=64M
	ExecStart=/usr/local/bin/pt-deleg
END
cat >/usr/local/bin/pt-deleg <<-'END'
	#!/bin/sh
	d=/sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup)
	id -un
	stat -c '%U %a' "$d/memory.pt_reclaim"
	echo max >"$d/memory.pt_reclaim" && echo reclaimed
	echo 4096 >"$d/memory.pt_reclaim" && echo 'reclaimed again' || echo 'nothing left'
	echo max 2>/dev/null >"$d/memory.pt.max" && echo 'limit lifted'
	sleep infinity &
END
chmod 755 /usr/local/bin/pt-deleg
reload
ok "an unprivileged service with Delegate=yes" systemctl start pt-deleg.service
journalctl --sync
said=$(journalctl -b -o cat -u pt-deleg.service)
like "$said" '^ptuser$' "runs as its user"
like "$said" '^ptuser 644$' "owns memory.pt_reclaim"
like "$said" '^reclaimed$' "writes to it"
ok "and may not lift its limit" fails matches "$said" 'limit lifted'
eq "$(stat -c %U "$(dir pt-deleg.service)/memory.pt.max")" root "which is still root's"
eq "$(stat -c '%U %a' "$(dir pt-plain.service)/memory.pt_reclaim")" "root 200" \
	"without Delegate= memory.pt_reclaim stays root's"
eq "$(stat -c %U "$(dir "user@$uid.service")/memory.pt_reclaim")" ptuser "a user owns that of the own manager"
ok "and writes to it" as_user sh -c "echo max >'$(dir "user@$uid.service")/memory.pt_reclaim'"

# A container with users of its own: what root in it sees and may do. Owners that
# it has no name for are 65534.
said=$(systemd-run -q --wait --pipe -p Delegate=yes systemd-nspawn -q --register=no --keep-unit \
	-D / --volatile=yes --private-users=65536:65536 --pipe sh -c '
	cd /sys/fs/cgroup
	stat -c "%u %n" memory.pt_reclaim memory.pt.max
	echo max >memory.pt_reclaim && echo reclaimed' 2>&1)
like "$said" '^0 memory\.pt_reclaim$' "systemd-nspawn: root in the container owns memory.pt_reclaim"
like "$said" '^reclaimed$' "and writes to it"
like "$said" '^65534 memory\.pt\.max$' "and does not own memory.pt.max"

eq "$(systemctl list-units --failed --plain --no-legend | grep -v '^$')" "" "no unit has failed"
finish
