#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# X-MemoryPageTable*= in services: what is read from which file, that it holds
# over everything that systemd does to a unit, and in every sandbox.
# shellcheck disable=SC2317 # what ok, soon and is call
# shellcheck source=tests/debian/lib.sh
. /tests/lib.sh

M=1048576

# ---- sizes, against systemd's own reading of MemoryMax= ----

same_size() {
	# A slice each: an old share would stay beside a new number.
	sized=$((${sized:-0} + 1))
	systemctl set-property --runtime "size$sized.slice" "MemoryMax=$1" || return 1
	want=$(systemctl show -P MemoryMax "size$sized.slice")
	[ "$want" != infinity ] || want=max
	got=$(ptfree-systemd size "$1")
	# systemd rounds a share of memory to whole pages, the kernel does it for us.
	case $1 in *%*|*‰|*‱) got=$((got / 4096)) want=$((want / 4096)) ;; esac
	[ "$got" = "$want" ] || { echo "$1: got $got, systemd has $want"; return 1; }
}
sizes() {
	for size in 4096 64K 64M 1G 2T 1.5G '1G 512M' 1G512M 0.5M 100% 10% 12.5% 33.33% 125‰ \
		1‱ infinity 1P 7E 10B '3 M'; do
		same_size "$size" || return 1
	done
}
no_sizes() {
	for size in -1 x 1X 1k 1g '1M 1G' 1M1M 101% -5% 1.234% % 1.% 99E nan 0x10 '1M x' max; do
		if systemctl set-property --runtime size.slice "MemoryMax=$size"; then
			echo "systemd takes $size"
			return 1
		fi
		if ptfree-systemd size "$size"; then
			echo "$size was taken"
			return 1
		fi
	done
}
ok "sizes are what systemd reads in MemoryMax=" sizes
ok "what is no size for systemd is none here" no_sizes
ok "0 is a size" is 0 ptfree-systemd size 0

# ---- one line in a unit file ----

unit plain.service <<-'UNIT'
	[Service]
	X-MemoryPageTableMax=64M
	X-MemoryPageTableHigh=48M
	ExecStart=/bin/sleep infinity
	Restart=always
	RestartSec=100ms
UNIT
reload
ok "systemd-analyze verify has nothing to say of the key" \
	is "" systemd-analyze verify /etc/systemd/system/plain.service
ok "the unit starts" systemctl start plain.service
ok "memory.pt.max is what the unit file says" is $((64 * M)) knob plain.service memory.pt.max
ok "memory.pt.high, too" is $((48 * M)) knob plain.service memory.pt.high
reload
ok "daemon-reload has everything looked at again" soon applied
ok "and keeps it" is $((64 * M)) knob plain.service memory.pt.max
systemctl daemon-reexec
ok "daemon-reexec keeps it" is $((64 * M)) knob plain.service memory.pt.max
systemctl set-property --runtime plain.service MemoryHigh=1G CPUWeight=50
ok "set-property of something else keeps it" is $((64 * M)) knob plain.service memory.pt.max
systemctl restart plain.service
ok "restart keeps it" is $((64 * M)) knob plain.service memory.pt.max
was=$(systemctl show -P MainPID plain.service)
kill -9 "$was"
again() {
	now=$(systemctl show -P MainPID plain.service)
	[ "$now" != 0 ] && [ "$now" != "$was" ]
}
ok "killed, it is started again by Restart=" soon again
ok "and has its budget" is $((64 * M)) knob plain.service memory.pt.max

# ---- from when on ----

# shellcheck disable=SC2016 # for the unit's shell; $$ is systemd's way to say $
own='cat /sys/fs/cgroup$$(sed -n s/^0:://p /proc/self/cgroup)/memory.pt.max'
unit order.service <<-UNIT
	[Service]
	ExecCondition=sh -c '$own >/run/order.condition'
	ExecStartPre=sh -c '$own >/run/order.pre'
	ExecStart=sh -c '$own >/run/order.start; exec sleep infinity'
	ExecStartPost=sh -c '$own >/run/order.post'
	X-MemoryPageTableMax=64M
UNIT
reload
# Which looks at every unit that runs, at one that is being started, too.
soon applied
systemctl start order
ok "the first process of ExecStart= has the budget" soon is $((64 * M)) cat /run/order.start
ok "so has ExecStartPost=" is $((64 * M)) cat /run/order.post
ok "ExecCondition= and the unit's own ExecStartPre= run before" is "max max" \
	sh -c "echo \$(cat /run/order.condition /run/order.pre)"
systemctl stop order

# ---- by hand, for a while ----

plain=$group$(cgroup_of plain.service)
echo max >"$plain/memory.pt.max"
ok "what somebody writes by hand is there" is max knob plain.service memory.pt.max
reload
ok "until the next daemon-reload, which puts the unit file's value back" \
	soon is $((64 * M)) knob plain.service memory.pt.max
# As systemctl edit makes it, whose name hides one in /run.
unit plain.service.d/override.conf <<-'UNIT'
	[Service]
	X-MemoryPageTableMax=63M
UNIT
unit /run/systemd/system/plain.service.d/zz-budget.conf <<-'UNIT'
	[Service]
	X-MemoryPageTableMax=infinity
UNIT
reload
ok "with a drop-in in /run it is lifted" soon is max knob plain.service memory.pt.max
reload
ok "and stays so over daemon-reload" soon applied
ok "as it is" is max knob plain.service memory.pt.max
systemctl restart plain
ok "and over restart" is max knob plain.service memory.pt.max
rm -r /run/systemd/system/plain.service.d
reload
ok "the drop-in removed, the budget is back" soon is $((63 * M)) knob plain.service memory.pt.max
rm -r /etc/systemd/system/plain.service.d

# ---- every sandbox ----

boxes="ProtectControlGroups=yes
User=nobody
DynamicUser=yes
ProtectSystem=strict
InaccessiblePaths=/sys
TemporaryFileSystem=/run
TemporaryFileSystem=/:ro
BindReadOnlyPaths=/tmp:/sys
NoNewPrivileges=yes
CapabilityBoundingSet=
SystemCallFilter=@system-service
Delegate=yes
Delegate=pids
PrivateNetwork=yes
PrivateUsers=yes
PrivateMounts=yes
PrivateTmp=yes
ProtectProc=invisible
ProcSubset=pid
TemporaryFileSystem=/var
RestrictAddressFamilies=none
RestrictNamespaces=yes
MemoryDenyWriteExecute=yes
IPAddressDeny=any
DevicePolicy=closed
StandardError=null
StandardOutput=file:/tmp/out
LimitNOFILE=8
LimitFSIZE=0
MemoryAccounting=no
Slice=box-inner.slice
WorkingDirectory=/tmp
UMask=0777
ReadOnlyPaths=/
NoExecPaths=/
PrivateDevices=yes
LimitAS=16M
LimitDATA=1M
LimitNPROC=1
TasksMax=1
Type=exec
Type=notify
Type=oneshot
Type=forking"
n=0
names=
echo "$boxes" >/tmp/boxes
while read -r line; do
	n=$((n + 1))
	names="$names box$n.service"
	command="/bin/sleep infinity"
	extra=
	case $line in
	Type=notify)	command="/bin/sh -c 'systemd-notify --ready; exec sleep infinity'"
			extra=NotifyAccess=all ;;
	Type=oneshot)	command="/bin/sh -c 'sleep infinity &'"
			extra=RemainAfterExit=yes ;;
	NoExecPaths=*)	extra=ExecPaths=/usr ;;
	LimitNPROC=*)	extra=User=nobody ;;
	*:ro)		extra=BindReadOnlyPaths="/usr /lib /lib64 /bin" ;;
	Type=forking)	command="/bin/sh -c 'sleep infinity &'" ;;
	esac
	unit box$n.service <<-UNIT
		[Service]
		ExecStart=$command
		$line
		$extra
		X-MemoryPageTableMax=${n}M
	UNIT
done </tmp/boxes
everything="User=nobody ProtectControlGroups=yes ProtectSystem=strict PrivateUsers=yes"
everything="$everything NoNewPrivileges=yes CapabilityBoundingSet= SystemCallFilter=@system-service"
everything="$everything InaccessiblePaths=/sys RestrictAddressFamilies=none"
{
	echo "[Service]"
	echo "ExecStart=/bin/sleep infinity"
	echo "X-MemoryPageTableMax=99M"
	for word in $everything; do
		echo "$word"
	done
} | unit boxes.service
reload
# shellcheck disable=SC2086 # a list of names
systemctl start $names boxes.service
n=0
while read -r line; do
	n=$((n + 1))
	ok "with $line" soon is $((n * M)) knob box$n.service memory.pt.max
done </tmp/boxes
ok "with all of it at once: $everything" is $((99 * M)) knob boxes.service memory.pt.max
# shellcheck disable=SC2086 # a list of names
systemctl stop $names boxes.service

# A root of its own has neither this program nor the manager's socket.
mkdir -p /srv/root/usr /srv/root/proc /srv/root/dev /srv/root/sys /srv/root/run /srv/root/tmp
for name in bin lib lib64; do
	ln -s usr/$name /srv/root/$name
done
unit rooted.service <<-'UNIT'
	[Service]
	RootDirectory=/srv/root
	BindReadOnlyPaths=/usr
	InaccessiblePaths=/usr/bin/ptfree-systemd
	ExecStart=/bin/sleep infinity
	Restart=always
	RestartSec=100ms
	X-MemoryPageTableMax=7M
UNIT
reload
systemctl start rooted.service
ok "with RootDirectory=" soon is $((7 * M)) knob rooted.service memory.pt.max
was=$(systemctl show -P MainPID rooted.service)
kill -9 "$was"
rooted_again() {
	now=$(systemctl show -P MainPID rooted.service)
	[ "$now" != 0 ] && [ "$now" != "$was" ] && is $((7 * M)) knob rooted.service memory.pt.max
}
ok "with RootDirectory=, after Restart=" soon rooted_again
systemctl stop rooted.service
ok "its companion stops with it" soon fails systemctl is-active ptfree-unit@rooted.service.service

# A lean kernel has no loop devices to mount an image with: as far as it goes here.
unit imaged.service <<-'UNIT'
	[Service]
	RootImage=/srv/root.img
	ExecStart=/bin/sleep infinity
	X-MemoryPageTableMax=7M
UNIT
reload
ok "with RootImage= it has a companion, too" sh -c "systemctl show -P Wants imaged.service | grep -q ptfree-unit@imaged.service"

# A service that is there when it has its name on the bus, and shut in tightly.
{ echo "[Service]"; echo "X-MemoryPageTableMax=6M"; } | unit systemd-hostnamed.service.d/pt.conf
reload
ok "Type=dbus: a service of systemd starts" systemctl start systemd-hostnamed
ok "it is of that type" is dbus systemctl show -P Type systemd-hostnamed
ok "and has its budget" is $((6 * M)) knob systemd-hostnamed.service memory.pt.max

# ---- which file counts ----

simple="ExecStart=/bin/sleep infinity"
fragment() {	# fragment PATH LINE...
	path=$1
	shift
	{
		echo "[Service]"
		echo "$simple"
		printf '%s\n' "$@"
	} | unit "$path"
}
dropin() {	# dropin PATH LINE...
	path=$1
	shift
	{ echo "[Service]"; printf '%s\n' "$@"; } | unit "$path"
}
X="X-MemoryPageTableMax"

fragment f1.service "$X=1M" "$X=" "$X=2M" "$X=x" "$X=-1"
fragment f2.service "$X=1M" "$X="
fragment f3.service "$X = \\" "# between" "  3M"
dropin f4.service.d/a.conf "$X=4M"
fragment f4.service "$X=1M"
dropin f4.service.d/b.conf "$X=5M"
dropin f5.service.d/a.conf "$X="
fragment f5.service "$X=1M"
fragment /usr/lib/systemd/system/f6.service "$X=1M"
fragment f6.service
fragment /run/systemd/system/f7.service "$X=7M"
fragment /usr/local/lib/systemd/system/f8.service "$X=8M"
dropin /usr/lib/systemd/system/f9.service.d/m.conf "$X=1M"
fragment f9.service "$X=9M"
mkdir -p /etc/systemd/system/f9.service.d
ln -s /dev/null /etc/systemd/system/f9.service.d/m.conf
fragment /opt/f10.service "$X=10M"
ln -s /opt/f10.service /etc/systemd/system/f10.service
fragment f11.service "$X=11M"
ln -s f11.service /etc/systemd/system/f11-alias.service
fragment f12@.service "$X=12M"
fragment f13@.service "$X=1M"
dropin f13@b.service.d/a.conf "$X=13M"
dropin f14@.service.d/a.conf "$X=14M"
fragment f14@.service
dropin f15-.service.d/a.conf "$X=15M"
fragment f15-x-y.service
fragment f16.service "$X=16M" "ExecStartPre=/bin/false"
dropin f16.service.d/zzz.conf "ExecStartPre="
dropin f17.service.d/zz.conf "ExecStartPre=" "ExecStartPre=/bin/true"
fragment f17.service "$X=17M"
{ echo "[Unit]"; echo "$X=18M"; echo "[Service]"; echo "$simple"; } | unit f18.service
fragment f19.service "MemoryMax=512M" "$X=10%"
fragment f20.service "$X=infinity"
dropin f21.service.d/a.conf "$X=21M"
fragment f21.service "ExecStop=/bin/true"
fragment 'f22-a\x2db.service' "$X=22M"
{ echo "[Slice]"; echo "$X=9M"; } | unit many.slice
fragment f23.service "[X-Other]" "$X=1M" "[Service]" "X-MemoryPageTableHigh=23M"
reload
ok "generated drop-ins are all that is there of ours" \
	is "" sh -c "find /etc /usr/lib/systemd -newer /tmp/boxes -name '*ptfree*' ! -type d"
systemctl start f1 f2 f3 f4 f5 f6 f7 f8 f9 f10 f11-alias f12@a f13@a f13@b f14@a f15-x-y \
	f16 f17 f18 f19 f20 f21 'f22-a\x2db.service' f23
check() {
	ok "$1" is "$3" knob "$2" memory.pt.max
}
check "the last valid assignment wins" f1.service $((2 * M))
ok "an invalid one has a line in the journal, with file and line number" \
	journal_has "/etc/systemd/system/f1.service:6: $X=x is not a size, ignoring"
check "an empty assignment resets" f2.service max
check "continued lines, with a comment between" f3.service $((3 * M))
check "drop-ins in their order" f4.service $((5 * M))
check "an empty assignment in a drop-in resets" f5.service max
check "a file in /usr is hidden by one in /etc" f6.service max
ok "and nothing was generated for it" [ ! -e /run/systemd/generator/f6.service.d ]
check "a file in /run" f7.service $((7 * M))
check "a file in /usr/local" f8.service $((8 * M))
check "a masked drop-in" f9.service $((9 * M))
check "a linked unit" f10.service $((10 * M))
check "an alias" f11.service $((11 * M))
check "a template" f12@a.service $((12 * M))
check "an instance with a drop-in beside its template" f13@b.service $((13 * M))
check "and the instance without one" f13@a.service $((1 * M))
check "a template's drop-in" f14@a.service $((14 * M))
check "a prefix drop-in" f15-x-y.service $((15 * M))
check "ExecStartPre= reset in a late drop-in" f16.service $((16 * M))
check "ExecStartPre= reset and set" f17.service $((17 * M))
check "a key in the wrong section does nothing" f18.service max
ok "and has a line in the journal" journal_has "f18.service:2: $X= belongs in [Service], ignoring"
tenth=$(ptfree-systemd size 10%)
check "a share of the machine's memory" f19.service $((tenth / 4096 * 4096))
check "infinity" f20.service max
check "a unit with a drop-in only" f21.service $((21 * M))
check "a name with an escape" 'f22-a\x2db.service' $((22 * M))
ok "other sections are not ours" is "max $((23 * M))" \
	sh -c "echo \$(cat $group/system.slice/f23.service/memory.pt.max $group/system.slice/f23.service/memory.pt.high)"

# All services at once; the innermost drop-in still wins.
dropin service.d/all.conf "$X=77M"
fragment f30.service
reload
systemctl start f30
systemctl restart f4
check "a drop-in for all services" f30.service $((77 * M))
check "is overridden by what is nearer" f4.service $((5 * M))
ok "the hook runs once, whatever its levels" is 1 \
	sh -c "systemctl show -P ExecStartPre f4.service | grep -c ptfree-systemd"
rm /etc/systemd/system/service.d/all.conf

# ---- daemon-reload with another value ----

dropin f1.service.d/new.conf "$X=31M"
echo $((5 * M)) >"$group$(cgroup_of f20.service)/memory.pt.high"
rm /etc/systemd/system/f4.service.d/*.conf
fragment f4.service
fragment f16.service
reload
ok "daemon-reload changes it for what runs" soon is $((31 * M)) knob f1.service memory.pt.max
ok "a line removed: no budget any more" soon is max knob f4.service memory.pt.max
ok "and for one of several" soon is max knob f16.service memory.pt.max
ok "everything was looked at" soon applied
ok "what somebody wrote by hand stays" is $((5 * M)) knob f20.service memory.pt.high
echo $((6 * M)) >"$group$(cgroup_of f1.service)/memory.pt.max"
ok "ptfree-systemd apply UNIT" ptfree-systemd apply f1.service
check "puts the file's value back" f1.service $((31 * M))
ok "ptfree-systemd apply of something else fails" fails ptfree-systemd apply f1.mount

# ---- many reloads in a row ----

# A start limit of five in ten seconds, which is the default, shows on a fast machine only.
for name in ptfree-apply.service ptfree-unit@f1.service; do
	ok "$name may start as often as it likes" is 0 systemctl show -P StartLimitIntervalUSec "$name"
done
for turn in 1 2 3; do
	dropin f1.service.d/new.conf "$X=$((60 + turn))M"
	reload
	note "reload $turn"
done
ok "three times daemon-reload without waiting: the last value comes into force" \
	soon is $((63 * M)) knob f1.service memory.pt.max
ok "what looks has not failed" is "active success" \
	sh -c "echo \$(systemctl is-active ptfree-apply.path) \
	\$(systemctl show -P Result ptfree-apply.path)"
budgets=0
for turn in 1 2 3; do
	systemctl start many.slice
	soon is $((9 * M)) knob many.slice memory.pt.max && budgets=$((budgets + 1))
	systemctl stop many.slice
	note "start $turn"
done
ok "a slice that is started three times has its budget each time" [ $budgets = 3 ]

# ---- required ----

fragment r1.service "X-MemoryPageTableRequired=yes" "$X=41M"
fragment r2.service "X-MemoryPageTableRequired=yes" "$X=much"
fragment r3.service "X-MemoryPageTableRequired=yes"
fragment r4@.service "$X=44M"
dropin service.d/required.conf "X-MemoryPageTableRequired=yes"
reload
ok "Required=yes: a unit with its budget starts" systemctl start r1.service
check "and has it" r1.service $((41 * M))
ok "Required=yes with a bad size: the unit fails" fails systemctl start r2.service
ok "and says why" journal_has "r2.service: a setting for page tables is wrong" -u r2.service
ok "Required=yes without a budget is nothing" systemctl start r3.service
ok "Required=yes for all services" systemctl start r4@x.service
rm /etc/systemd/system/service.d/required.conf
{ echo "[Slice]"; echo "DisableControllers=memory"; } | unit off.slice
fragment r5.service "Slice=off.slice" "$X=45M"
fragment r6.service "Slice=off.slice" "X-MemoryPageTableRequired=yes" "$X=46M"
reload
ok "without the memory controller a unit starts" systemctl start r5.service
ok "there it is off" fails knob r5.service memory.pt.max
ok "and the unit's journal says so" journal_has \
	"r5.service: no budget for page tables: the memory controller is not enabled for it" \
	-u r5.service
ok "Required=yes without the memory controller: the unit fails" fails systemctl start r6.service
ok "and says why" journal_has "the memory controller is not enabled for it, and the budget is required" \
	-u r6.service

finish
