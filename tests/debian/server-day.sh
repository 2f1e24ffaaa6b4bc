#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A day of a server with budgets in its unit files (server-day.root has them):
# it boots, it is used, the budgets hold, they are changed, somebody uses too much.
# With the argument native it is a systemd that has the settings itself.
# Page tables are looked at all the time; lines "# tables ..." are for the plot.
# shellcheck disable=SC2317 # what ok, soon and is call
# shellcheck source=tests/debian/lib.sh
. /tests/lib.sh

K=1024
M=1048576
shop=$group/shop.slice
www=$(id -u www-data)
redis() { redis-cli "$@" 2>&1; }
as_www() {
	setpriv --reuid "$www" --regid "$www" --init-groups env XDG_RUNTIME_DIR="/run/user/$www" "$@"
}

# What is held, each second, in KiB, until the file goes away.
tables_of() {
	if [ -e "$1/memory.stat" ]; then
		awk '$1 == "pagetables" { print $2 / 1024 }' "$1/memory.stat"
	else
		echo 0
	fi
}
begin=$(date +%s)
phase=boot
: >/run/watching
echo "$phase" >/run/phase
watch() {
	while [ -e /run/watching ]; do
		echo "tables $(($(date +%s) - begin)) $(cat /run/phase) $(tables_of "$shop")" \
			"$(tables_of "$shop/redis-server.service")" \
			"$(tables_of "$shop/shop-report.service")"
		sleep 1
	done
}
watch >/run/watched 2>/dev/null &
watcher=$!
now_is() {
	echo "$1" >/run/phase
	note "$1"
}

native=${1:-}
note "systemd $(systemctl show -P Version)"
known() { [ -n "$(systemctl show -P MemoryPageTableMax redis-server.service)" ]; }
if [ "$native" ]; then
	ok "this systemd has the settings" known
else
	ok "this systemd knows nothing of the settings" fails known
fi

# ---- boot ----

ok "redis-server runs" soon is active systemctl is-active redis-server.service
ok "under libjemalloc" grep -q libjemalloc "/proc/$(systemctl show -P MainPID redis-server)/maps"
ok "its budget is that of its drop-in" is "$((400 * K)) $((8 * M))" \
	sh -c "echo \$(cat $shop/redis-server.service/memory.pt.high $shop/redis-server.service/memory.pt.max)"
ok "the slice's" soon is $((64 * M)) knob shop.slice memory.pt.max
ok "the other service's" is $((2 * M)) knob shop-web.service memory.pt.max
app() { cat "$group$(as_www systemctl --user show -P ControlGroup app.service)/$1"; }
ok "the user's service, started at boot" soon is $((1 * M)) app memory.pt.max
shown() {	# shown MAX HIGH PROPERTIES: what systemd says, and what the files have
	printf 'MemoryPageTableHigh=%s\nMemoryPageTableMax=%s\n' "$2" "$1" |
		sed 's/=max$/=infinity/' >/tmp/files
	echo "$3" | sort >/tmp/shown
	diff /tmp/files /tmp/shown
}
agree() {	# systemctl show and the cgroup's files say the same of each
	for name in redis-server.service shop.slice shop-web.service; do
		shown "$(knob $name memory.pt.max)" "$(knob $name memory.pt.high)" \
			"$(systemctl show -p MemoryPageTableMax -p MemoryPageTableHigh $name)" ||
			{ echo "of $name"; return 1; }
	done
	shown "$(app memory.pt.max)" "$(app memory.pt.high)" \
		"$(as_www systemctl --user show -p MemoryPageTableMax -p MemoryPageTableHigh app)"
}
current() { is "$(knob shop-web.service memory.pt.current)" systemctl show -P MemoryPageTableCurrent shop-web; }
if [ "$native" ]; then
	ok "systemctl show and the files agree" agree
	ok "also on what is in use" soon current
fi
same() {	# memory.stat is flushed lazily, and services start up
	a=$(cat "$shop/$1/memory.pt.current")
	b=$(awk '$1 == "pagetables" { print $2 }' "$shop/$1/memory.stat")
	[ "$a" = "$b" ] || { echo "$a, $b"; return 1; }
}
ok "memory.stat and memory.pt.current agree" soon same shop-web.service

# ---- load ----

now_is load
fill() {
	i=0
	while [ "$i" -lt 10 ]; do
		redis eval "for i = 1, 30 do
			redis.call('set', KEYS[1] .. ':' .. i, string.rep('x', 1048000)) end" 1 "$i" || return 1
		i=$((i + 1))
	done
	[ "$(redis dbsize)" = 300 ]
}
ok "redis-server gets 300 MB" fill
full=$(cat $shop/redis-server.service/memory.pt.current)
ok "has its tables in use, over memory.pt.high, and nobody is harmed" [ "$full" -gt $((400 * K)) ]
now_is flush
empty() {
	redis script flush && redis flushall sync && redis memory purge && [ "$(redis dbsize)" = 0 ]
}
ok "all keys deleted, memory given back" empty
# What a child that writes a snapshot holds goes when it ends.
fits() {
	held=$(cat "$shop/redis-server.service/memory.pt.current")
	[ "$held" -le $((400 * K)) ] || { echo "$held held"; return 1; }
}
ok "the page tables are within the budget" soon fits
held=$(cat $shop/redis-server.service/memory.pt.current)
note "redis-server: $((full / K)) KiB of page tables full, $((held / K)) KiB empty"
answers() {
	redis set a b && is b redis get a && is 0 systemctl show -P NRestarts redis-server
}
ok "and the server is the same one, and answers" answers

# ---- changes ----

now_is changes
set_max() {	# set_max UNIT SIZE: as the administrator would do it here
	if [ "$native" ]; then
		systemctl set-property "$1" "MemoryPageTableMax=$2"
	else
		printf '[%s]\nX-MemoryPageTableMax=%s\n' "$3" "$2" |
			unit "$1.d/zz-changed.conf" && reload
	fi
}
ok "redis-server may have 10 MiB from now on" set_max redis-server.service 10M Service
ok "and has them" soon is $((10 * M)) knob redis-server.service memory.pt.max
ok "the slice may have 60 MiB from now on" set_max shop.slice 60M Slice
ok "and has them" soon is $((60 * M)) knob shop.slice memory.pt.max
everything() {
	is $((10 * M)) knob redis-server.service memory.pt.max &&
		is $((400 * K)) knob redis-server.service memory.pt.high &&
		is $((60 * M)) knob shop.slice memory.pt.max &&
		is $((2 * M)) knob shop-web.service memory.pt.max &&
		is $((1 * M)) app memory.pt.max && { [ -z "$native" ] || agree; }
}
reload
ok "daemon-reload has everything looked at again" soon applied
ok "and keeps all" everything
systemctl daemon-reexec
ok "daemon-reexec keeps all" everything
systemctl restart redis-server shop-web
as_www systemctl --user restart app
ok "restart keeps all" everything

# ---- somebody uses too much ----

now_is too-much
systemctl start shop-alarm.path
ok "the report starts" systemctl start shop-report.service
restarted() {
	is 1 systemctl show -P NRestarts shop-report.service &&
		is active systemctl is-active shop-report.service
}
ok "it is killed at its budget, and Restart= starts it again" soon restarted
ok "its result was oom-kill" journal_has "Failed with result 'oom-kill'" -u shop-report.service
ok "it has its budget again" is $((4 * M)) knob shop-report.service memory.pt.max
ok "the path unit has fired" soon [ -s /run/alarm ]
ok "the kernel says what was killed, and why" journal_has "shop-report.service" -k
systemctl start shop-import.service
ok "OOMPolicy=stop: the rest of a unit is ended, too" \
	soon is oom-kill systemctl show -P Result shop-import.service
# The result is known before the last process is gone.
ok "and it is failed" soon is failed systemctl is-active shop-import.service
systemctl start shop-mail.service
ok "OOMPolicy=continue: the rest goes on" soon [ -e /run/mail ]
ok "and the unit is active" is active systemctl is-active shop-mail.service
events() { grep -x "oom_kill 1" "$shop/shop-mail.service/memory.$1"; }
ok "the kill counts in memory.events" events events
ok "and in memory.pt.events" events pt.events
ok "and nobody else was harmed" is "active active 0 0" \
	sh -c "echo \$(systemctl is-active redis-server shop-web) \
	\$(systemctl show -P NRestarts redis-server shop-web)"
ok "the budgets are all what they were" everything

# ---- evening ----

now_is evening
ok "asked by hand, the kernel frees what is empty" \
	sh -c "echo max >$shop/memory.pt_reclaim"
systemctl stop shop.slice
ok "the slice stops with all that is in it" fails systemctl is-active redis-server
rm /run/watching
wait $watcher
ok "page tables were looked at throughout" [ "$(grep -c ^tables /run/watched)" -gt 10 ]
sed 's/^/# /' /run/watched
finish
