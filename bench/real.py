# SPDX-License-Identifier: GPL-2.0-only
"""Part real: known programs and allocators, with the background on."""

import os
import subprocess

from machine import TOP, WORK, Failure, compile_guest

MORE = 2.0		# per cent that a program may take more than on a stock kernel
LIBS = "/usr/lib/x86_64-linux-gnu"

# 16 MB filled and emptied, each second, with the purging of the demo's scenes
CYCLE = "exec /tests/cycle 16 20 1000"
# A server that is filled and emptied; it ends by itself. redis-cli counts as well.
REDIS = r"""
redis-server --port 0 --unixsocket /tmp/r.sock --save '' --appendonly no \
	--enable-debug-command local --loglevel warning >/dev/null &
until [ -S /tmp/r.sock ]; do sleep 0.1; done
for i in 1 2 3 4 5; do
	printf '%s\n' 'DEBUG POPULATE 4000 key 4080' 'FLUSHALL SYNC' 'MEMORY PURGE' |
		redis-cli -s /tmp/r.sock >/dev/null || exit 1
	sleep 2
done
sed -n 's/^VmPTE:[^0-9]*\([0-9]*\).*/tables \1/p' /proc/$!/status
redis-cli -s /tmp/r.sock SHUTDOWN NOSAVE >/dev/null
wait
""".strip()
# For a second; what it has done in it counts
STRESS = r"""cd /tmp && stress-ng --no-rand-seed --temp-path /tmp --metrics --timeout 1s %s 2>&1 |
	awk '$2 == "metrc:" && $4 == "%s" { print "ops", $5 }'"""

# What it is, and the command
WORKS = {
	"jemalloc": ("jemalloc, 16 MB filled and emptied each second",
		f"export MALLOC_CONF=dirty_decay_ms:0,muzzy_decay_ms:0 "
		f"LD_PRELOAD={LIBS}/libjemalloc.so.2; {CYCLE}"),
	"tcmalloc": ("tcmalloc, the same",
		f"export TCMALLOC_AGGRESSIVE_DECOMMIT=t "
		f"LD_PRELOAD={LIBS}/libtcmalloc_minimal.so.4; {CYCLE}"),
	"mimalloc": ("mimalloc, the same",
		f"export MIMALLOC_DECOMMIT_DELAY=0 MIMALLOC_PURGE_DELAY=0 "
		f"LD_PRELOAD={LIBS}/libmimalloc.so.2.0; {CYCLE}"),
	"redis": ("redis-server, 16 MB filled and emptied five times", REDIS),
	"stress-vm": ("stress-ng --vm, an operation", STRESS % ("--vm 1 --vm-bytes 16M", "vm")),
	"stress-madvise": ("stress-ng --madvise, an operation",
		STRESS % ("--madvise 1", "madvise")),
}


class Real:
	title = "Known programs"
	about = """`vm.freept=2` and the default delays: CPU time of the program and its
children, in instructions. What a program does can depend on the time and on what its
allocator draws by lot."""
	seeds = (1,)
	agree = 0.1

	def pack(self, userland, initrd):
		if subprocess.run([os.path.join(TOP, "scripts/initramfs"), initrd, userland]).returncode:
			raise Failure("cannot pack the root file system, see above")

	def run(self, runs):
		userland = os.path.join(WORK, "userland")
		if subprocess.run([os.path.join(TOP, "demo/userland"), userland,
				   "stress-ng:usr/bin/stress-ng"],
				  stdin=subprocess.DEVNULL).returncode:
			raise Failure("no programs to measure, see above")
		# packed anew it would be another one, and nothing known of it
		initrd = os.path.join(WORK, "userland.cpio")
		made_of = (os.path.join(userland, ".complete"), os.path.join(TOP, "scripts/initramfs"))
		if not os.path.exists(initrd) or any(
				os.path.getmtime(p) > os.path.getmtime(initrd) for p in made_of):
			self.pack(userland, initrd)
		put = [compile_guest("real"), compile_guest("cycle", static=False)]
		for names in (("jemalloc", "tcmalloc", "mimalloc"), ("redis",),
			      ("stress-vm", "stress-madvise")):
			runs.count("real", self.seeds, self.agree,
				   ["/tests/real", *(f"{name}={WORKS[name][1]}" for name in names)],
				   put=put, initrd=[initrd])

	def report(self, runs, out):
		out.line("| | stock | ptfree | to stock | may be | kfreept | page tables left, stock "
			 "| ptfree |  |")
		out.line("|---|--:|--:|--:|--:|--:|--:|--:|---|")
		for name, (text, _) in WORKS.items():
			base, own = (runs.get(kind, f"{name}/own") / (runs.get(kind, f"{name}/ops") or 1)
				     for kind in ("stock", "ptfree"))
			tables = [runs.get(kind, f"{name}/tables") for kind in ("stock", "ptfree")]
			more = (own / base - 1) * 100
			shown = " | ".join(f"{kb:,.0f} kB" if kb is not None else "" for kb in tables)
			out.line(f"| {text} | {base:,.0f} | {own:,.0f} | {own / base:.4f} "
				 f"| {1 + MORE / 100:.3f} | {runs.get('ptfree', f'{name}/thread'):,.0f} "
				 f"| {shown} | {out.verdict(more > MORE)} |")
