# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# guest.sh KERNEL: what ptfree(8) does in the virtual machine, as TAP. KERNEL is
# ptfree, off (booted with freept=off) or stock. Lines "@json NAME ..." and
# "@value NAME ..." in comments are for the host, which has parsers.
set -u

kernel=$1
cg=/sys/fs/cgroup
work=/tmp/tool
count=0
mkdir -p $work
cd $work || exit 1

# ok TEXT COMMAND...: good if COMMAND ends with 0
ok() {
	text=$1
	shift
	count=$((count + 1))
	if "$@"; then
		echo "ok $count - $text"
	else
		echo "not ok $count - $text"
		for file in out err; do
			[ ! -s $file ] || sed "s/^/# $file: /" $file
		done
	fi
}

# run COMMAND...: its exit code in $code, what it says in files out and err
run() {
	"$@" >out 2>err
	code=$?
}
is() { [ "$1" = "$2" ] || { echo "# $1, not $2"; false; }; }
says() { grep -qF -- "$1" out err; }
ended() { is "$code" "$1" && { [ -z "${2-}" ] || says "$2"; }; }

# host KIND NAME FILE: a line of a comment for the host
host() { printf '# @%s %s %s\n' "$1" "$2" "$(base64 <"$3" | tr -d '\n')"; }
value() { printf '# @value %s %s\n' "$1" "$2"; }

# as_tester COMMAND...: as an ordinary user
as_tester() { su tester -c "$*"; }

# until_there FILE: 60 s at most; the kernel tells nobody of a new file here
until_there() {
	tries=600
	while [ ! -e "$1" ] && [ $tries -gt 0 ]; do
		sleep 0.1
		tries=$((tries - 1))
	done
	[ -e "$1" ]
}

# in_group PATH COMMAND...: start it there; its number in $child
in_group() {
	group=$1
	shift
	sh -c "echo \$\$ >$cg$group/cgroup.procs && exec \"\$@\"" sh "$@" &
	child=$!
}

settled() {	# until memory.pt.current stays the same for half a second
	last=none same=0
	while [ $same -lt 5 ]; do
		now=$(cat $cg"$1"/memory.pt.current)
		if [ "$now" = "$last" ]; then
			same=$((same + 1))
		else
			same=0
		fi
		last=$now
		sleep 0.1
	done
}

make_groups() {
	mkdir -p $cg/shop/cache $cg/shop/web
	echo +memory >$cg/shop/cgroup.subtree_control
	in_group /shop/cache filler 4096 0 $work/cache
	cache=$child
	in_group /shop/web filler 512 2 $work/web
	web=$child
	ok "programs with empty tables run" until_there $work/cache
	until_there $work/web
}

survey() {
	run ptfree survey
	ok "survey" ended 0 /shop/cache
	ok "survey names every process with memory" grep -q "^ *$cache root .* filler  *  */shop/cache" out
	ok "the figure of a process too large for smaps is marked, that of the other not" \
		awk -v cache="$cache" -v web="$web" '$1 == cache { c = $7 } $1 == web { w = $7 }
			END { exit c !~ /^~[0-9]/ || w !~ /^[1-9]/ }' out
	ok "and so is the sum" grep -q '^Memory .* freeable about ' out
	run ptfree survey --thorough
	ok "survey --thorough marks none" grep -Eq '^Memory .* freeable [0-9.]+[KM] \(' out
	run ptfree survey --json
	ok "survey --json" ended 0
	host json survey out
	run ptfree survey --json --thorough shop
	host json survey_thorough out
	run ptfree survey --json --quick shop
	host json survey_quick out
	value cache_pid "$cache"
	value web_pid "$web"
	value cache_pte "$(awk '/^VmPTE/ { print $2 * 1024 }' /proc/"$cache"/status)"
	value cache_size "$(awk '/^VmSize/ { print $2 * 1024 }' /proc/"$cache"/status)"
	run ptfree survey -p -s pid -n 3
	ok "survey -p --sort=pid --lines=3: five lines, in order" \
		awk 'NR > 3 { if ($1 + 0 <= last) bad = 1; last = $1 + 0 }
		     END { exit bad || NR != 6 }' out
	run ptfree survey -g shop/cache
	ok "survey of a cgroup shows only it" awk '/\/shop\/cache$/ { n++ } / \/$|web$/ { bad = 1 }
		END { exit bad || n != 1 }' out
	# /shop/cache has more tables than smaps is read for; /shop/web has fewer
	for option in --json --quick --thorough; do
		run env LD_PRELOAD=/usr/lib/ranges.so ptfree survey -p $option shop
		ok "survey $option asks for 16 GiB at most, and 64 MiB where tables are" \
			awk '/^asked/ { n++; bad += !$2 || $4 > 67108864 || $6 > 17179869184 }
				END { exit n != 1 || bad }' err
		cp err asked"$option"
	done
	ok "survey reads smaps, but not of large processes" \
		grep -q "smaps $web \$" asked--json
	ok "survey --quick of none" grep -q 'smaps $' asked--quick
	ok "survey --thorough of all" grep -Eq "smaps( $cache| $web){2} \$" asked--thorough
	run ptfree survey --sort=nothing
	ok "survey --sort=nothing says which columns there are" ended 2 "mapped, resident, tables"
	run ptfree survey no/such
	ok "survey of no cgroup names the file" ended 4 $cg/no/such/cgroup.procs
	run ptfree survey 999999
	ok "survey of no process" ended 4 /proc/999999/cgroup
}

as_user() {
	run as_tester ptfree survey --json
	ok "survey as an ordinary user" ended 0
	host json user_survey out
	run as_tester ptfree status
	ok "status as an ordinary user" ended "$1"
	run as_tester ptfree metrics
	ok "metrics as an ordinary user" ended 0 "# EOF"
}

top_test() {
	run ptfree top -b -n 2 -d 0.2
	ok "top --batch, twice" awk '/PID.*COMMAND/ { n++ } END { exit n != 2 }' out
	run ptfree top -b -n 1 -t
	ok "top --batch --tree" grep -q '^ .*  shop$' out
	run ptfree top -b -j -n 2 -d 0.2
	ok "top --batch --json" ended 0
	host jsonl top_processes out
	run ptfree top -b -j -n 1 -t
	host jsonl top_groups out
	run ptfree top --json
	ok "top --json on a terminal" ended 2 --batch
	run ptfree top
	ok "top without a terminal" ended 2 --batch
	run screen 24x80 wait:TABLES wait:filler steady:3 key:g wait:PROCS key:t \
		"wait:as a tree" key:t "gone:as a tree" "key:>>>" "wait:by high" "key:<<" "wait:by ratio" "key:F" "wait:by freeable" key:r \
		wait:reversed key:h "wait:Any key" key:x "gone:Any key" key:g wait:COMMAND \
		key:d wait:Delay "key:1^J" "wait:every 1s" key:q exit:0 -- ptfree top -d 0.5
	ok "top on a terminal: keys, no flicker, and the terminal is as before" ended 0
	run screen 24x80 wait:TABLES size:40x132 wait:/shop/cache size:8x30 "wait:PID" \
		"gone:/shop/cache" size:24x80 wait:filler key:q exit:0 -- ptfree top -d 0.5
	ok "top follows the size of the terminal" ended 0
	run screen 10x100 wait:TABLES "key:^C" exit:0 -- ptfree top -d 5
	ok "top ends at once with Ctrl-C" ended 0
	run screen 24x80 exit:5 -- env TERM=nothing ptfree top
	ok "top on an unknown terminal says so" ended 0
}

set_test() {
	run ptfree set --high 64M --max 1.5G shop/cache
	ok "set --high --max" ended 0 "memory.pt.max 1.5G (was max)"
	ok "memory.pt.high is 64M" is "$(cat $cg/shop/cache/memory.pt.high)" 67108864
	ok "memory.pt.max is 1.5G" is "$(cat $cg/shop/cache/memory.pt.max)" 1610612736
	run ptfree set 50% "$cache" $cg/shop/web
	pages=$(getconf_pages)
	ok "set 50% of the memory, by process and by path" is \
		"$(cat $cg/shop/cache/memory.pt.max) $(cat $cg/shop/web/memory.pt.max)" \
		"$((pages / 2 * 4096)) $((pages / 2 * 4096))"
	run ptfree set --json --max=infinity --high=max shop/cache shop/web
	ok "set to nothing" is "$(cat $cg/shop/*/memory.pt.max $cg/shop/*/memory.pt.high | sort -u)" max
	host json set out
	for bad in "" -1 12Q 1e9 0x10 1.M .5G 101% 12M8 99999999999G "1 2"; do
		run ptfree set "$bad" shop/cache
		ok "set '$bad' is refused" ended 2
	done
	run ptfree set 1M /
	ok "set for the root" ended 4 "no limits"
	run ptfree set --json 640M / shop/web
	ok "set goes on with the other targets" ended 4 "no limits"
	ok "and sets these" is "$(cat $cg/shop/web/memory.pt.max)" 671088640
	host json set_partly out
	run ptfree set max shop/web no/such
	ok "set with a target that is none" ended 4 no/such
	ok "sets nothing" is "$(cat $cg/shop/web/memory.pt.max)" 671088640
	run ptfree set max shop/web
	run ptfree set 1M nosuch.service
	ok "set for a unit that is not there" ended 4 "nosuch.service"
	run ptfree set 64M
	ok "set without a target" ended 2 Usage
	run as_tester ptfree set 1M shop/cache
	ok "set as an ordinary user names the file and why" \
		ended 5 "$cg/shop/cache/memory.pt.max: Permission denied"
}

# busybox has no getconf
getconf_pages() {
	awk '/^MemTotal/ { print int($2 / 4) }' /proc/meminfo
}

reclaim_test() {
	settled /shop/cache
	before=$(cat $cg/shop/cache/memory.pt.current)
	run ptfree survey --json -p shop/cache
	host json before out
	run ptfree survey --json --thorough -p shop/cache
	host json before_thorough out
	run ptfree reclaim shop/cache
	ok "reclaim" ended 0 "shop/cache: freed 1"
	settled /shop/cache
	after=$(cat $cg/shop/cache/memory.pt.current)
	value freed $((before - after))
	ok "reclaim has freed 4000 tables at least" [ $((before - after)) -gt 16384000 ]
	run ptfree survey --json -p shop/cache
	host json after out
	run ptfree survey --json -p shop/web
	host json web_before out
	settled /shop/web
	before=$(cat $cg/shop/web/memory.pt.current)
	run ptfree reclaim 100K shop/web
	ok "reclaim 100K" ended 0 "freed 1"
	run ptfree reclaim --size=1G --json "$web"
	ok "reclaim of more than there is" ended 1 "less than 1.0G"
	host json reclaim out
	settled /shop/web
	value web_freed $((before - $(cat $cg/shop/web/memory.pt.current)))
	reclaim_like odd
	reclaim_like wide
	reclaim_like mix
	run ptfree reclaim /
	ok "reclaim of the machine" ended 0 "/: freed"
	run as_tester ptfree reclaim shop/web
	ok "reclaim as an ordinary user names the file and why" \
		ended 5 "$cg/shop/web/memory.pt_reclaim: Permission denied"
}

# What survey says of a process, and what is freed of it then.
reclaim_like() {
	mkdir $cg/shop/"$1"
	program="filler 600 3"
	case $1 in
	mix)
		mkswap /dev/ram0 >/dev/null && swapon /dev/ram0
		program="mixer /tmp/mixed"
		;;
	odd)
		echo 40 >/proc/sys/vm/nr_hugepages
		mkdir -p $work/huge
		mount -t tmpfs -o huge=always huge $work/huge
		export HUGE=32 HUGETLB=16 FILE=$work/huge/file
		;;
	wide)
		export RESERVE=131072
		;;
	esac
	# shellcheck disable=SC2086 # words
	in_group /shop/"$1" $program $work/"$1"
	unset HUGE HUGETLB FILE RESERVE
	until_there $work/"$1"
	echo "# $1: $(grep -E 'AnonHuge|ShmemPmd|Private_Huge' /proc/"$child"/smaps_rollup | tr -s ' \n' ' ')"
	value "$1_huge" "$(awk '/AnonHuge|ShmemPmd|Private_Huge/ { n += $2 } END { print n * 1024 }' \
		/proc/"$child"/smaps_rollup)"
	value "$1_swap" "$(awk '/^VmSwap/ { print $2 * 1024 }' /proc/"$child"/status)"
	settled /shop/"$1"
	before=$(cat $cg/shop/"$1"/memory.pt.current)
	run ptfree survey --json -p "shop/$1"
	host json "$1" out
	run ptfree survey --json --quick -p "shop/$1"
	host json "$1_quick" out
	run ptfree reclaim "shop/$1"
	ok "reclaim of a process with $1 mappings" ended 0 freed
	settled /shop/"$1"
	value "$1_freed" $((before - $(cat $cg/shop/"$1"/memory.pt.current)))
	kill "$child"
	wait "$child"
	umount $work/huge 2>/dev/null
	[ "$1" != mix ] || swapoff /dev/ram0
	rmdir $cg/shop/"$1"
}

until_watching() {
	tries=100
	until grep -q inotify /proc/"$1"/fdinfo/3 2>/dev/null || [ $tries = 0 ]; do
		sleep 0.1
		tries=$((tries - 1))
	done
}

watch_test() {
	ptfree watch --count=2 --timeout=60 >watch.out 2>watch.err &
	watcher=$!
	ptfree watch --json --count=1 --timeout=60 shop >watch.json 2>>watch.err &
	json_watcher=$!
	until_watching $watcher
	until_watching $json_watcher
	# a cgroup that comes after watch has begun, and one that was there
	mkdir $cg/shop/late
	echo 400K >$cg/shop/late/memory.pt.high
	in_group /shop/late filler 300 1 $work/late
	wait $json_watcher
	ok "watch --json sees a budget exceeded in a cgroup that has just come" is $? 0
	host jsonl watch watch.json
	echo 100K >$cg/shop/web/memory.pt.high
	kill "$child"
	in_group /shop/web filler 300 1 $work/again
	wait $watcher
	ok "watch ends after so many lines" is $? 0
	ok "a line of watch has time, cgroup, event and count" grep -Eq \
		'^20[0-9-]+T[0-9:]+\+0000 /shop/(late|web) high \+[0-9]+ \([0-9]+\)$' watch.out
	kill "$child"
	ptfree watch --json --count=1 --timeout=60 shop/web >watch.json 2>>watch.err &
	json_watcher=$!
	until_watching $json_watcher
	in_group /shop/web filler 300 1 $work/more
	wait $json_watcher
	ok "watch of what has counted before" is $? 0
	host jsonl more watch.json
	kill "$child"
	echo max >$cg/shop/web/memory.pt.high
	# wait says 143
	wait "$child"
	rmdir $cg/shop/late
	run ptfree watch --timeout=0.5 shop/cache
	ok "watch --timeout" ended 1
	ok "watch is silent where nothing happens" [ ! -s out ]
}

# The queue of inotify runs over, and a cgroup is made anew meanwhile.
watch_overflow() {
	most=$(cat /proc/sys/fs/inotify/max_queued_events)
	echo 4 >/proc/sys/fs/inotify/max_queued_events
	mkdir $cg/shop/again
	ptfree watch --json --count=1 --timeout=60 shop >watch.json 2>watch.err &
	watcher=$!
	until_watching $watcher
	kill -STOP $watcher
	for i in 1 2 3 4 5; do
		mkdir $cg/shop/full$i
		rmdir $cg/shop/full$i
	done
	rmdir $cg/shop/again
	mkdir $cg/shop/again
	kill -CONT $watcher
	echo 100K >$cg/shop/again/memory.pt.high
	in_group /shop/again filler 300 1 $work/overflow
	wait $watcher
	ok "watch finds a cgroup that was made anew while its queue ran over" is $? 0
	ok "and tells of it" grep -q '"cgroup":"/shop/again","event":"high"' watch.json
	echo "$most" >/proc/sys/fs/inotify/max_queued_events
	kill "$child"
	wait "$child"
	rmdir $cg/shop/again
}

# The memory controller is enabled for a cgroup that is watched already.
watch_late() {
	mkdir -p $cg/late/one
	ptfree watch --json --count=1 --timeout=60 late >watch.json 2>watch.err &
	watcher=$!
	until_watching $watcher
	echo +memory >$cg/late/cgroup.subtree_control
	echo 100K >$cg/late/one/memory.pt.high
	in_group /late/one filler 300 1 $work/late_file
	wait $watcher
	ok "watch finds a controller that was enabled late" is $? 0
	kill "$child"
	wait "$child"
	rmdir $cg/late/one $cg/late
}

metrics_test() {
	mkdir "$cg/shop/od\"d\\name"
	ok "metrics" ptfree metrics --scan --output=$work/ptfree.prom
	value cache_current "$(cat $cg/shop/cache/memory.pt.current 2>/dev/null)"
	host metrics metrics ptfree.prom
	ok "metrics for others to read" is "$(stat -c %a ptfree.prom)" 644
	# Whoever reads meanwhile sees a whole file.
	(for _ in 1 2 3 4 5 6 7 8; do ptfree metrics -o ptfree.prom || touch unwritten; done
	touch written) &
	torn=0 reads=0
	while [ ! -e written ]; do
		[ "$(tail -n 1 ptfree.prom)" = "# EOF" ] || torn=$((torn + 1))
		reads=$((reads + 1))
	done
	echo "# read $reads times meanwhile"
	ok "metrics can write it each time" [ ! -e unwritten ]
	ok "metrics replaces its file in one step" is $torn 0
	ok "metrics leaves nothing behind" is "$(find . -name '.ptfree*')" ""
	run ptfree metrics -o /proc/nothing/x.prom
	ok "metrics that cannot be written names the file" ended 5 /proc/nothing
	run ptfree metrics --cgroup '^/shop/w' --depth 2
	ok "metrics --cgroup" awk '/^memcg/ && !/cgroup="\/shop\/web"/ { bad = 1 } /^memcg_pt_bytes/ { n++ }
		END { exit bad || n != 1 }' out
	run ptfree metrics --cgroup '('
	ok "metrics with a bad expression" ended 2
	run ptfree survey -g
	ok "survey of odd names" ended 0 'od"d\name'
	rmdir "$cg/shop/od\"d\\name"
}

# Control characters, as ASCII, as UTF-8 and as a byte that is not UTF-8: \033[31m,
# U+009B, \233; and U+FFFD, which stands for such bytes elsewhere.
names_test() {
	odd=/shop/$(printf 'a\033[31mb\302\233c\233d\357\277\275e')
	mkdir "$cg$odd"
	in_group "$odd" filler 8 1 $work/odd_name
	until_there $work/odd_name
	run ptfree survey --json "$odd"
	ok "survey --json of an odd name" ended 0
	host json names out
	value names_pid "$child"
	run ptfree survey
	ok "survey shows the name, and nothing of it that a terminal obeys" \
		is "$(tr -d '\n' <out | tr -cd '\000-\037\177\200-\237' | wc -c)" 0
	ok "as question marks" is "$(tr -d '\200-\377' <out | grep -c 'shop/a?\[31mb??c?d')" 2
	run ptfree reclaim "$odd/none"
	ok "nor do messages" is "$(tr -cd '\033\200-\237' <err | wc -c)" 0
	ok "which name it" says 'a?[31mb??c?d'
	run ptfree metrics --cgroup '^/shop/a'
	host metrics odd_metrics out
	kill "$child"
	wait "$child"
	rmdir "$cg$odd"
}

units_test() {
	mkdir -p /etc/systemd/system/shop.service.d /usr/lib/systemd/system \
		/etc/systemd/system/job@.service.d $cg/system.slice/shop.service \
		"$cg/system.slice/job@one.service"
	printf '[Service]\nExecStart=/bin/true\nX-MemoryPageTableMax=1G\n' \
		>/usr/lib/systemd/system/shop.service
	printf '# 1G is too much\n[Service]\nX-MemoryPageTableMax= \\\n; not the last\n 64M\n' \
		>/etc/systemd/system/shop.service.d/10-small.conf
	printf '[Unit]\nMemoryPageTableMax=1M\n' >/etc/systemd/system/shop.service.d/20-other.conf
	printf '[Service]\nX-MemoryPageTableHigh=1M\n' >/usr/lib/systemd/system/job@.service
	printf '[Service]\nX-MemoryPageTableHigh=\n' >/etc/systemd/system/job@.service.d/none.conf
	printf '[Slice]\nX-MemoryPageTableHigh=10%%\n' >/etc/systemd/system/idle.slice
	# no name of a unit
	printf '[Service]\nX-MemoryPageTableMax=1M\n' >/etc/systemd/system/.service
	echo +memory >$cg/system.slice/cgroup.subtree_control
	# units of this name in containers, one of them with a name like a slice
	mkdir -p $cg/lxc.payload.box/system.slice/boxed.service \
		$cg/pod.slice/system.slice/boxed.service
	printf '[Service]\nX-MemoryPageTableMax=1M\n' >/etc/systemd/system/boxed.service
	# other units that have a cgroup, and keys for them
	mkdir $cg/system.slice/plug.socket $cg/system.slice/disk.swap
	printf '[Socket]\nMemoryPageTableMax=1M\n' >/etc/systemd/system/plug.socket
	printf '[Swap]\nX-MemoryPageTableMax=1M\n' >/etc/systemd/system/disk.swap
	# a file, and a unit, that nobody named for a terminal
	odd=$(printf 'o\033[31md\302\233d.service')
	cp /etc/systemd/system/boxed.service "/etc/systemd/system/$odd"
	run ptfree status
	ok "status: nothing in it that a terminal obeys" \
		is "$(tr -d '\n' <out | tr -cd '\000-\037\177\200-\237' | wc -c)" 0
	rm "/etc/systemd/system/$odd"
	ok "status: a configured budget is not in force" ended 1 "NOT IN FORCE"
	ok "status names unit, key, value and file" says \
		"shop.service: X-MemoryPageTableMax= (/etc/systemd/system/shop.service.d/10-small.conf)"
	ok "status: an empty assignment resets" [ "$(grep -c job@ out)" = 0 ]
	ok "status: a unit that does not run is no problem" grep -q '^not running .* idle.slice' out
	run ptfree status --json
	host json "units_$kernel" out
	rm /etc/systemd/system/plug.socket /etc/systemd/system/disk.swap
}

units_in_force() {
	run ptfree set 64M shop.service
	ok "set for a unit, without a bus" ended 0
	run ptfree status
	ok "status: now it is in force" ended 0 "in force"
	run ptfree status -q
	ok "status --quiet" is "$code $(cat out err)" "0 "
	echo 'X-MemoryPageTableMax=lots' >>/etc/systemd/system/shop.service.d/10-small.conf
	run ptfree status
	ok "status: what is no size is not in force" ended 1 "not a size"
	printf '[Service]\nMemoryPageTableHigh=1M\n' >/etc/systemd/system/shop.service.d/10-small.conf
	run ptfree status
	ok "status: a key that only another systemd knows is not in force" ended 1 "does not know"
}

common() {
	run ptfree
	ok "ptfree alone" ended 2 Usage
	run ptfree nothing
	ok "no such command" ended 2 "no command nothing"
	for command in survey top set reclaim watch metrics status; do
		run ptfree $command --help
		ok "$command --help" ended 0 "Exit codes"
		run ptfree $command --nothing
		ok "$command --nothing" ended 2
	done
	ptfree survey >/dev/full 2>err
	ok "survey on a full disk" is $? 5
}

echo "TAP version 13"
echo tester:x:1000:1000::/:/bin/sh >>/etc/passwd
make_groups
case $kernel in
ptfree)
	run ptfree status
	ok "status: budgets work" ended 0 "budgets work"
	run ptfree status --json
	host json status out
	common
	survey
	as_user 0
	# Only who is asked frees: a cgroup with a budget is looked after otherwise.
	echo 0 >/proc/sys/vm/freept
	set_test
	top_test
	reclaim_test
	echo 1 >/proc/sys/vm/freept
	watch_test
	watch_overflow
	watch_late
	metrics_test
	names_test
	units_test
	units_in_force
	;;
stock)
	run ptfree status
	ok "status: this kernel cannot" ended 3 "does not have ptfree"
	survey
	as_user 3
	for command in "set 1M" reclaim watch; do
		# shellcheck disable=SC2086 # two words
		run ptfree $command shop/cache
		ok "$command: this kernel cannot" ended 3 "does not have ptfree"
	done
	run screen 24x80 wait:TABLES wait:filler key:q exit:0 -- ptfree top
	ok "top" ended 0
	metrics_test
	names_test
	units_test
	;;
off)
	run ptfree status
	ok "status: freept=off" ended 3 "booted with freept=off"
	run ptfree reclaim shop/cache
	ok "reclaim with freept=off" ended 3 "freept=off"
	units_test
	run ptfree set 64M shop.service
	ok "set with freept=off says that the limit is not enforced" ended 3 "not enforced"
	ok "and writes it" is "$(cat $cg/system.slice/shop.service/memory.pt.max)" 67108864
	run ptfree status
	ok "status with freept=off: a limit that is set is not in force" ended 1 "NOT IN FORCE"
	;;
esac
kill "$cache" "$web"
wait	# their SIGCHLD would cut the next line short
echo "1..$count"
