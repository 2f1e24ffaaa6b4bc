# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# stress.sh SECONDS - guest part of tests/full/stress.t: stress-ng's memory stressors,
# two workers of one, or one, for SECONDS (or six or thirty times that), then of the next, all with
# --verify, while the background frees the empty tables of every process as often as it
# can.
#
# A stressor passes when stress-ng is content (what it verifies is right, no worker was
# killed, nothing is missing in this kernel) and has done something.
#
# memthrash of stress-ng 0.15.06 reads beyond what it has mapped, on every kernel: the
# console tells of segfaults.
#
# Left out: numa (one memory node), swap (wants a file on a file system that the kernel
# can swap to; pageswap, madvise and stack have a swap device), physpage (looks at
# /dev/mem), tmpfs and dev-shm (fill all of memory, as mmap, memfd and shm do not).
seconds=$1
stressors="
vm --vm-bytes 8M --vm-method all
vm --vm-bytes 16M --vm-method write64 --vm-madvise dontneed
vm --vm-bytes 16M --vm-method flip --vm-madvise dontneed --vm-keep
vm --vm-bytes 16M --vm-method walk-1a --vm-madvise hugepage
vm --vm-bytes 8M --vm-method zero-one --vm-madvise mergeable --vm-populate
vm --vm-bytes 16M --vm-method swap --vm-locked
madvise
mmap --mmap-bytes 4M --mmap-mprotect
mmap --mmap-bytes 8M --mmap-file --mmap-async
mmapaddr
mmapfixed
mmapfork
mmaphuge
mmapmany
mprotect
mremap --mremap-bytes 8M
munmap
pagemove --pagemove-bytes 4M
pageswap
userfaultfd --userfaultfd-bytes 4M
tlb-shootdown
mincore --mincore-random
fork --fork-vm
vfork
vforkmany --vforkmany-vm
clone
rmap
bigheap --bigheap-growth 1M
brk
brk --brk-mlock
stack --stack-fill
stack --stack-pageout
stack --stack-unmap
stackmmap
bad-altstack
malloc --malloc-bytes 1M --malloc-touch
malloc --malloc-bytes 1M --malloc-thresh 64K --malloc-pthreads 2
mlock
msync --msync-bytes 2M
msyncmany
memfd --memfd-bytes 8M
shm --shm-bytes 1M --shm-objs 16
shm-sysv --shm-sysv-bytes 1M
remap
vm-addr
vm-rw --vm-rw-bytes 4M
vm-segv
vm-splice
mcontend
memthrash
membarrier
"
n=0 bad=0
result() {	# result STATUS TEXT
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n - $2"
	else
		echo "not ok $n - $2"
		bad=1
	fi
}
vmstat() { sed -n "s/^$1 //p" /proc/vmstat; }

# Page tables of the machine. What CPUs have counted by themselves is gathered first.
all_tables() {
	echo 1 >/proc/sys/vm/stat_refresh
	vmstat nr_page_table_pages
}

cd /tmp || exit 1
mkswap /dev/ram0 >/dev/null
swapon /dev/ram0 || echo "# no swap"
if ! { echo 10 >/proc/sys/vm/freept_scan_delay_ms && echo 2 >/proc/sys/vm/freept; }; then
	echo "Bail out! no vm.freept"
	exit 1
fi
echo "1..$(($(echo "$stressors" | grep -c .) + 2))"

at_start=$(vmstat ptfree)
pages=$(all_tables)
while read -r name options; do
	[ -n "$name" ] || continue
	before=$(vmstat ptfree)
	# Two of these remove each other's segments, on any kernel: stress-ng's issue 548.
	case $name in shm-sysv) workers=1 ;; *) workers=2 ;; esac
	# What does not come round once in that time on so slow a kernel gets more.
	for time in "$seconds" $((seconds * 6)) $((seconds * 30)); do
		# shellcheck disable=SC2086 # several words
		timeout -s KILL $((time * 10 + 240)) stress-ng --no-rand-seed --temp-path /tmp \
			--oomable --verify --metrics --verbose --timeout "${time}s" "--$name" $workers $options \
			>/tmp/said 2>&1 </dev/null
		code=$?
		ops=$(awk -v name="$name" '$2 == "metrc:" && $4 == name { print $5; exit }' /tmp/said)
		if [ "$code" != 0 ] || [ "${ops:-0}" != 0 ]; then
			break
		fi
	done
	[ "$code" = 0 ] && [ "${ops:-0}" -gt 0 ]
	status=$?
	result $status "$name${options:+ $options}: ${ops:-0} operations, $(($(vmstat ptfree) - before)) tables freed"
	if [ $status != 0 ]; then
		echo "# exit code $code"
		sed 's/^/# /' /tmp/said
	fi
	[ "$code" != 137 ] || killall -q -9 stress-ng
done <<END
$stressors
END

freed=$(($(vmstat ptfree) - at_start))
[ $freed -gt 20 ]
result $? "the background freed $freed tables in total"

# Those that are freed wait for a grace period.
tries=200
while [ "$(all_tables)" -gt $((pages + 20)) ] && [ $tries -gt 0 ]; do
	usleep 100000
	tries=$((tries - 1))
done
[ $tries -gt 0 ]
result $? "page tables as before: $pages and $(all_tables)"
exit $bad
