#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# What every other test relies on: scripts/vm hands over output and exit code as
# they are and sees each way in which a machine can fail; tests/run turns each
# way in which a test program can fail into "not ok".
set -u

top=$(cd "$(dirname "$0")/.." && pwd)
BUILD=${BUILD:-$top/build}
export BUILD
kernel=${KERNEL:-$BUILD/lean/arch/x86/boot/bzImage}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM HUP

n=0
check() {	# check TEXT TEST...
	text=$1
	shift
	n=$((n + 1))
	if "$@"; then
		echo "ok $n - $text"
	else
		echo "not ok $n - $text"
		tail -n 12 "$work/out" "$work/err" | sed 's/^/#   /'
	fi
}
vm() {
	"$top/scripts/vm" --kernel "$kernel" --log "$BUILD/log/vm-test.log" "$@" \
		>"$work/out" 2>"$work/err"
	code=$?
}
code_is() { [ "$code" = "$1" ] || { echo "# exit code $code"; return 1; }; }
# The last line says what happened, the console comes before it.
said() { tail -n 1 "$work/err" | grep -Eq "$1"; }
console() { grep -q '^console| ' "$work/err" && [ "$(grep -c '^console| ' "$work/err")" -le 40 ]; }

echo "TAP version 13"
if [ ! -e "$kernel" ]; then
	echo "not ok 1 - no kernel at $kernel; run \`make check\`, which builds it"
	echo "1..1"
	exit 1
fi

# ---- output and exit code --------------------------------------------------
printf 'one\n\n\ntwo\0\377\n@@exit \n@@exit x\n@@ex\nno newline at the end' >"$work/bytes"
seq 1 20000 >>"$work/bytes"
printf '\n\n' >>"$work/bytes"
vm --put "$work/bytes:data/in/bytes" -- 'cat /data/in/bytes; exit 7'
check "the command's exit code is ours" code_is 7
check "its output arrives byte for byte" cmp "$work/out" "$work/bytes"
check "KVM or TCG: one line says which" sh -c 'grep -cE "^vm: -accel (kvm|tcg) \(" "$1" | grep -qx 1' - "$work/err"

vm -- 'printf "text\n@@ex"; sleep 1; printf "it 7\n"; sleep 60'
check "the last line may arrive in pieces" code_is 7

vm --smp 3 -- sh -c 'printf "%s|" "$@"; echo; nproc; id -u; cat /proc/mounts; echo to stderr >&2' - 'a  b' "c'd" ''
check "several words are run as they are" grep -qxF "a  b|c'd||" "$work/out"
check "standard error comes as well" grep -qx 'to stderr' "$work/out"
check "--smp" grep -qx 3 "$work/out"
mounted() {
	for where in /proc /sys /dev /dev/pts /dev/shm /tmp /run /sys/fs/cgroup \
			/sys/kernel/debug /sys/kernel/tracing; do
		grep -q " $where " "$work/out" || { echo "# $where is not mounted"; return 1; }
	done
}
check "/init has mounted everything" mounted

dd if=/dev/zero of="$work/disk" bs=1M count=1 2>/dev/null
cp "$work/disk" "$work/disk2"
vm --disk "$work/disk" --disk "$work/disk2,snapshot" -- 'printf kept >/dev/vda && printf gone >/dev/vdb && sync'
check "a disk is written" sh -c '[ "$(head -c 4 "$1")" = kept ]' - "$work/disk"
check "one with ,snapshot is not" cmp -n 4 "$work/disk2" /dev/zero

# ---- KVM -------------------------------------------------------------------
# A device that is there, and a machine that hangs with it
mkdir "$work/build"
touch "$work/kvm"
cat >"$work/qemu" <<'END'
#!/bin/sh
case " $* " in
*" -accel kvm "*)
	echo once >>"${0%/*}/tries"
	exec sleep 1000
	;;
esac
exec qemu-system-x86_64 "$@"
END
chmod +x "$work/qemu"
kvm() { (export BUILD="$work/build" QEMU="$work/qemu" KVM="$work/kvm" ACCEL=auto; vm "$@"; exit "$code"); code=$?; }
kvm -- true
check "where a machine hangs with KVM, TCG is taken" code_is 0
check "and the line says why" grep -q "^vm: -accel tcg (a trial boot under KVM failed: " "$work/err"
kvm -- true
check "it is not tried again" sh -c '[ "$(wc -l <"$1")" = 1 ]' - "$work/tries"
check "and works" code_is 0

# ---- failures of the machine -----------------------------------------------
vm -- 'echo before; echo c >/proc/sysrq-trigger; echo after'
check "a panic ends the run" code_is 99
check "with its reason" said 'guest kernel is in trouble: .*panic'
check "with its console" console
check "and what came before it" grep -qx before "$work/out"

vm --silence 5 -- 'echo before; sleep 1000'
check "a silent machine ends the run" code_is 99
check "as a hang" said 'nothing heard for 5 s'

vm --timeout 8 -- 'while :; do echo again; sleep 1; done'
check "a machine that takes too long ends the run" code_is 99
check "as a timeout" said 'not finished after 8 s'

vm -- 'poweroff -f'
check "a machine that switches itself off is a failure" code_is 99
check "and said to be" said 'the machine stopped by itself'

# A QEMU that crashes: as one that the host kills when its memory is short
cat >"$work/qemu" <<'END'
#!/bin/sh
kill -SEGV $$
END
QEMU="$work/qemu" vm --accel tcg -- true
check "a QEMU that crashes is a failure" code_is 99
check "and not said to be the guest's" said "$work/qemu was killed by SIGSEGV"

trouble() {
	vm -- "echo '<4>$1' >/dev/kmsg; sleep 60"
	code_is 99 && said 'guest kernel is in trouble'
}
check "a warning of the kernel ends the run" trouble 'WARNING: CPU: 0 PID: 1 at mm/memory.c:1 x+0x0/0x0'
check "a stall ends the run" trouble 'rcu: INFO: rcu_sched self-detected stall on CPU'
# What other kernels and configurations say, by the expression that reads the console
reports() {
	PYTHONDONTWRITEBYTECODE=1 python3 - "$top/scripts/vm" <<'END' >"$work/out" 2>&1
import importlib.machinery, importlib.util, sys
loader = importlib.machinery.SourceFileLoader("vm", sys.argv[1])
vm = importlib.util.module_from_spec(importlib.util.spec_from_loader("vm", loader))
loader.exec_module(vm)
TROUBLE = """
BUG: KASAN: slab-use-after-free in freept_unlink+0x1/0x2
BUG: KCSAN: data-race in a / b
BUG: unable to handle page fault for address: ffff888000000000
BUG: sleeping function called from invalid context at mm/freept.c:1
BUG: Bad page state in process empty  pfn:00001
BUG: Bad rss-counter state mm:000000001 type:MM_ANONPAGES val:1
BUG: non-zero pgtables_bytes on freeing mm: 4096
WARNING: possible circular locking dependency detected
WARNING: suspicious RCU usage
INFO: task torture:1 blocked for more than 122 seconds.
Oops: 0000 [#1] PREEMPT SMP KASAN
kernel BUG at mm/page_table_check.c:1!
UBSAN: array-index-out-of-bounds in mm/freept.c:1:1
kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)
list_add corruption. next->prev should be prev
watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [empty:1]
Kernel panic - not syncing: Out of memory
"""
FINE = """
Out of memory: Killed process 12 (bomb)
systemd[1]: Started a unit.
kmemleak: Kernel memory leak detector initialized
debug: the word BUG and the word WARNING
"""
for good, text in ((True, TROUBLE), (False, FINE)):
	for line in text.split("\n")[1:-1]:
		for stamp in ("[    1.000000] ", "[    1.000000][  T123] "):
			if bool(vm.TROUBLE.match(stamp + line)) != good:
				sys.exit("wrong: " + stamp + line)
END
}
check "reports of sanitizers, lockdep and others are known" reports
vm --allow 'at mm/memory.c:1 ' -- "echo '<4>WARNING: CPU: 0 PID: 1 at mm/memory.c:1 x' >/dev/kmsg
	echo 'a program says WARNING: and BUG:' >/dev/kmsg; echo fine"
check "--allow, and what merely looks like trouble, does not" code_is 0

"$top/scripts/vm" --kernel "$work/none" -- true >"$work/out" 2>"$work/err"
code=$?
check "a kernel that is not there: one line" sh -c '[ "$(wc -l <"$1")" = 1 ] && grep -q "no kernel at" "$1"' - "$work/err"
check "and a failure" code_is 2
echo junk >"$work/junk"
"$top/scripts/vm" --kernel "$work/junk" --timeout 20 -- true >"$work/out" 2>"$work/err"
code=$?
check "a kernel that is none is a failure" code_is 99

# ---- tests/run -------------------------------------------------------------
cat >"$work/t" <<'END'
#!/bin/sh
case $1 in
good) printf 'TAP version 13\n1..2\n# note\nok 1 first\nok 2 - second # SKIP why\n' ;;
bad) printf '1..2\nok 1 - one\nnot ok 2 - two\n'; exit 1 ;;
short) printf '1..3\nok 1 - one\n' ;;
killed) printf '1..1\nok 1 - one\n'; kill -9 $$ ;;
mute) ;;
code) printf '1..1\nok 1 - one\n'; exit 3 ;;
bail) printf '1..2\nBail out! broken\n' ;;
skip) printf '1..0 # SKIP not here\n'; exit 4 ;;
panic) printf '1..2\nok 1 - one\n'; echo c >/proc/sysrq-trigger; sleep 9 ;;
esac
END
chmod +x "$work/t"
run() {
	"$top/tests/run" --kernel "$kernel" --vm "--put $work/t:tests/t" "$@" >"$work/out" 2>"$work/err"
	code=$?
}
has() { grep -Eqx -e "$1" "$work/out"; }
# has_run PROGRAM RESULTS...: all its results, in order and without numbers
has_run() {
	sed -n "s/^\(not \)*ok [0-9]* - $1: */\1/p" "$work/out" >"$work/got"
	shift
	printf '%s\n' "$@" | cmp -s - "$work/got" || { sed 's/^/# got: /' "$work/got"; return 1; }
}

run "t good" "t skip"
check "good programs: success" code_is 0
check "numbered through, with the program's name" has 'ok 2 - t good: second # SKIP why'
check "a program that skips itself" has 'ok 3 - t skip: # SKIP not here'
check "a closing plan" has '1\.\.3'

run "t good" "t bad" "t short" "t killed" "t mute" "t code" "t bail" "t good"
check "bad programs: failure" code_is 1
check "a result that is not ok" has_run "t bad" one "not two"
check "fewer results than planned" has_run "t short" one "not 1 results of 3 planned"
check "killed by a signal" has_run "t killed" one "not killed by signal 9"
check "no output at all" has_run "t mute" "not no TAP output"
check "an exit code without a reason" has_run "t code" one "not exit code 3, though every result was ok"
check "Bail out!" sh -c 'grep -q "^not ok [0-9]* - t bail: Bail out! broken" "$1"' - "$work/out"
check "the last program still ran" has 'ok 15 - t good: second # SKIP why'

run "t good" "t panic" "t good"
check "a panic fails the program that ran" has 'not ok 4 - t panic: the machine failed.*'
check "and those that could not run" has 'not ok 5 - t good: not run'
check "and the run" code_is 1
check "with the console's last lines" sh -c 'grep -q "^# console| .*panic" "$1"' - "$work/out"
check "and the reason" has '# vm: the guest kernel is in trouble: .*panic.*'

echo "1..$n"
