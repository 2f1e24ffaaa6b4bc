#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# ptfree(8) where systemd runs: units by their names, budgets that unit files ask
# for and ptfree-systemd puts into effect, and the timer for the metrics.
# shellcheck disable=SC2317 # what ok, soon and is call
# shellcheck source=tests/debian/lib.sh
. /tests/lib.sh

M=1048576
metrics=/var/lib/prometheus/node-exporter/ptfree.prom

unit shop.service <<-UNIT
	[Service]
	ExecStartPre=/bin/rm -f /run/filler.ready
	ExecStart=/usr/local/bin/filler 1024 0 /run/filler.ready more
	X-MemoryPageTableMax=64M
UNIT
unit shop.service.d/high.conf <<-UNIT
	[Service]
	X-MemoryPageTableHigh=48M 512K
UNIT
unit tenants.slice <<-UNIT
	[Slice]
	X-MemoryPageTableMax=10%
UNIT
unit user-of-slice.service <<-UNIT
	[Service]
	Slice=tenants.slice
	ExecStart=/bin/sleep infinity
UNIT
unit idle.service <<-UNIT
	[Service]
	ExecStart=/bin/sleep infinity
	X-MemoryPageTableMax=1M
UNIT
unit later.service <<-UNIT
	[Service]
	ExecStart=/bin/sleep infinity
UNIT
reload
systemctl start shop user-of-slice later
ok "the service has filled its page tables" soon test -e /run/filler.ready

ok "survey of a unit shows its process" says 0 filler ptfree survey shop.service
ok "survey knows the cgroups of systemd" says 0 /system.slice/shop.service ptfree survey -g
# A slice gets its budget a moment after it has started.
ok "status: what unit files ask for is in force" soon says 0 \
	"tenants.slice: X-MemoryPageTableMax= (/etc/systemd/system/tenants.slice)" ptfree status
ok "status: nothing is missing" fails says 0 "NOT IN FORCE" ptfree status
ok "status: a drop-in, and a size of two parts" says 0 \
	"48M      48M  shop.service: X-MemoryPageTableHigh=" ptfree status
ok "status: who does not run is no problem" says 0 "idle.service" ptfree status
ok "status as an ordinary user" says 0 "in force" \
	setpriv --reuid=65534 --regid=65534 --clear-groups ptfree status

ok "set by the unit's name" ends 0 ptfree set --max 32M shop.service
ok "the file says so" is $((32 * M)) knob shop.service memory.pt.max
ok "status: another limit than the unit file's" says 1 "another limit is set" ptfree status
systemctl restart shop
ok "started again, all is in force" soon ends 0 ptfree status
ok "the service is back" soon test -e /run/filler.ready
ok "set of a unit that does not run" says 4 "not running" ptfree set 1M idle.service
ok "set of a unit that does not exist" says 4 "no such unit" ptfree set 1M nobody-has-this.service
ok "set of -.slice: the root has no limit" says 4 "no limits" ptfree set 1M -- -.slice
pid=$(systemctl show -P MainPID shop.service)
ok "reclaim by unit" says 0 "shop.service: freed" ptfree reclaim shop.service
ok "reclaim by process" says 0 "$pid: freed" ptfree reclaim "$pid"
ok "reclaim of more than there is" ends 1 ptfree reclaim 1G shop.service

unit later.service <<-UNIT
	[Service]
	ExecStart=/bin/sleep infinity
	MemoryPageTableMax=7M
UNIT
ok "status: a key that this systemd does not know" says 1 "does not know" ptfree status
unit later.service <<-UNIT
	[Service]
	ExecStart=/bin/sleep infinity
	X-MemoryPageTableMax=seven
UNIT
ok "status: not a size" says 1 "not a size" ptfree status
rm /etc/systemd/system/later.service

# A unit that goes over its budget, and is told of.
ptfree watch --count=1 --timeout=60 shop.service >/run/watch.out &
watcher=$!
watching() { grep -q inotify /proc/$watcher/fdinfo/*; }
ok "watch begins" soon watching
systemctl restart shop
ok "the service is started again" soon test -e /run/filler.ready
echo 16384 >$group"$(cgroup_of shop.service)"/memory.pt.high
systemctl kill --signal=USR1 shop.service
wait $watcher
ok "watch of a unit" grep -q '/system.slice/shop.service high +' /run/watch.out

mv ${metrics%/*} /var/lib/prometheus/aside
ok "the metrics' service is skipped without a node exporter" systemctl start ptfree-metrics.service
ok "and writes nothing" fails test -e $metrics
mv /var/lib/prometheus/aside ${metrics%/*}
ok "the metrics' service" systemctl start ptfree-metrics.service
ok "what it wrote" grep -q 'memcg_pt_bytes{cgroup="/system.slice/shop.service"} [1-9]' $metrics
ok "is whole" is "# EOF" tail -n 1 $metrics
ok "and for all to read" is 644 stat -c %a $metrics

# exported TEXT: the node exporter has a line that begins so
exported() {
	got=$(bash -c 'exec 3<>/dev/tcp/127.0.0.1/9100 && printf "GET /metrics HTTP/1.0\r\n\r\n" >&3 &&
		cat <&3') || return
	printf '%s\n' "$got" | grep "^$1" || {
		printf '%s\n' "$got" | grep textfile
		false
	}
}
ok "the node exporter, as Debian starts it" systemctl start prometheus-node-exporter
ok "takes it without an error" soon exported "node_textfile_scrape_error 0"
ok "from where the metrics' service writes" exported "node_textfile_mtime_seconds.*ptfree.prom"
ok "and serves the service's page tables" \
	exported 'memcg_pt_bytes{cgroup="/system.slice/shop.service"} [1-9]'
odd=$group/$(printf 'odd\233"\\x\033')
mkdir "$odd" "$odd$(printf '\234')"
ok "the metrics with names that are not UTF-8" systemctl start ptfree-metrics.service
ok "are taken too" exported "node_textfile_scrape_error 0"
ok "both of them" is 2 sh -c "grep -c '^memcg_pt_peak_bytes.*/odd' $metrics"
rmdir "$odd" "$odd$(printf '\234')"
systemctl stop prometheus-node-exporter
rm $metrics
ok "the timer" systemctl enable --now ptfree-metrics.timer
ok "runs it" soon test -e $metrics
# systemctl enable has reloaded: the limit that was set above goes back.
ok "what unit files ask for is put back" soon applied
ok "the status service: all is in force" systemctl start ptfree-status.service
ok "the journal has it" journal_has "in force" -u ptfree-status.service
ok "systemd finds nothing wrong with these units" \
	is "" systemd-analyze verify --man=no ptfree-metrics.service ptfree-metrics.timer \
		ptfree-status.service
finish
