# SPDX-License-Identifier: GPL-2.0-only
"""What tests/selftests-cgroup and tests/selftests-mm share: machines that run the
kernel's own selftests, what these say, and what is worse than on another kernel."""

import importlib.machinery
import importlib.util
import os
import re
import subprocess
import sys
import time

sys.dont_write_bytecode = True
TESTS = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(TESTS)
loader = importlib.machinery.SourceFileLoader("run", os.path.join(TESTS, "run"))
spec = importlib.util.spec_from_loader("run", loader)
run = importlib.util.module_from_spec(spec)
loader.exec_module(run)

BUILD = run.BUILD
TREE = os.path.join(BUILD, "tree")
SELFTESTS = os.path.join(TREE, "tools/testing/selftests")
HEADERS = os.path.join(BUILD, "headers/usr/include")

DEFAULT, MODE2 = "default", "vm.freept=2"
NO_DISK = "no disk"
PASS, SKIP, FAIL, MISSING = "passes", "is skipped", "fails", "gives no result"
BEST_FIRST = (PASS, SKIP, FAIL, MISSING)
SKIPPED_WHOLE = re.compile(r"^1\.\.0 # SKIP (.*)")
PROGRESS_SECONDS = 45

# The tests work on a real file system: in an initramfs there are no pages to reclaim
# and no negative dentries. Without a disk they run all the same.
DISK = """
cd /tmp
[ ! -e /virtio_blk.ko ] || insmod /virtio_blk.ko
tries=50
while [ ! -b /dev/vda ] && [ $tries -gt 0 ]; do
	usleep 100000
	tries=$((tries - 1))
done
mkdir /newroot
mke2fs -b 4096 /dev/vda >/dev/null 2>&1 && mount -t ext4 /dev/vda /newroot ||
	echo "@@say NO_DISK"
cd /newroot
""".replace("NO_DISK", NO_DISK)

BACKGROUND = """
echo 10 >/proc/sys/vm/freept_scan_delay_ms && echo 16777216 >/proc/sys/vm/freept_scan_size_mb &&
	echo 2 >/proc/sys/vm/freept || echo "@@say no vm.freept"
"""


class Machine:
	"""One kernel, and what the tests said on it.

	The shell in it says which program it runs, "@@begin MODE PROGRAM", and how that
	ended, "@@end CODE MORE"; "@@say TEXT" is a complaint. What is between the two goes
	to line(), line by line, and ended() comes last.
	"""

	def __init__(self, stream, name, kernel, vm):
		self.stream = stream
		self.name = name
		self.kernel = kernel
		self.vm = vm		# arguments for scripts/vm
		self.boots = 0
		self.complete = True	# no machine failed, nothing was missing
		self.rounds = {}	# (mode, program): how often it was run
		self.runs = {}		# (mode, program, test): [(verdict, what it said)]
		self.told = 0

	def boot(self, script, vm=()):
		"""Run SCRIPT in a machine."""
		self.boots += 1
		# cx16: emulated by some QEMU (7.2 is one), cmpxchg16b leaves garbage in
		# the flags. An interrupt right after it saves them, and the return from
		# that is a double fault: in the allocator, on any kernel.
		log = os.path.join(BUILD, f"log/selftests-{self.name}-{self.boots}")
		command = [os.path.join(TOP, "scripts/vm"), "--kernel", self.kernel,
			   "--append", "clearcpuid=cx16", "--log", log + ".log",
			   *self.vm, *vm, "--", script]
		start = time.monotonic()
		child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True,
					 errors="replace")
		try:
			with open(log + ".out", "w", encoding="utf-8") as copy:
				self.read(child.stdout, copy)
			if child.wait():
				self.complete = False
		finally:
			if child.poll() is None:
				child.terminate()
				child.wait()
		self.say(f"{time.monotonic() - start:.0f} s")

	def say(self, text):
		self.told = time.monotonic()
		self.stream.comment(f"{self.name}: {text}")

	def read(self, lines, copy):
		mode = program = None
		started = self.told = time.monotonic()
		said = []
		for raw in lines:
			copy.write(raw)
			text = raw.rstrip("\r\n")
			word, _, rest = text.partition(" ")
			if word == "@@say":
				self.say(rest)
				self.complete &= rest == NO_DISK
			elif word == "@@begin":
				mode, program = rest.split(" ", 1)
				started, said = time.monotonic(), []
				self.rounds[mode, program] = self.rounds.get((mode, program), 0) + 1
				self.begun(mode, program)
			elif word == "@@end" and program:
				code, _, more = rest.partition(" ")
				if int(code) > 128:
					self.say(f"{program} was killed by signal {int(code) - 128}")
				self.ended(mode, program, int(code), said, time.monotonic() - started, more)
				program = None
			elif program:
				self.line(mode, program, text, said)
			# When nothing arrives scripts/vm says that it is still running.
			if program and time.monotonic() - self.told > PROGRESS_SECONDS:
				self.say(f"{program}, {time.monotonic() - started:.0f} s")

	def begun(self, mode, program):
		pass

	def line(self, mode, program, text, said):
		raise NotImplementedError

	def ended(self, mode, program, code, said, seconds, more):
		pass

	def result(self, mode, program, test, verdict, said=()):
		self.runs.setdefault((mode, program, test), []).append((verdict, list(said)))

	def tests(self):
		"""(program, test) in the order in which they were run."""
		return list(dict.fromkeys(key[1:] for key in self.runs))

	def verdicts(self, mode, program, test):
		"""One for each run; one that gave none counts as well."""
		found = [verdict for verdict, _ in self.runs.get((mode, program, test), [])]
		return found + [MISSING] * (self.rounds.get((mode, program), 1) - len(found))

	def show(self, mode, program, test):
		found = self.verdicts(mode, program, test)
		if set(found) != {PASS}:
			self.say(f"it {', '.join(found)}")
		for _, said in self.runs.get((mode, program, test), []):
			for text in said:
				self.say(f"  {text}")


def best_first(verdicts):
	return sorted(verdicts, key=BEST_FIRST.index)


def worse(one, other):
	return BEST_FIRST.index(one) > BEST_FIRST.index(other)


def ready(stream, *kernels):
	"""True if these kernels and the headers of the tree are there."""
	for kernel in kernels:
		if not os.path.isfile(run.kernel_file(kernel)):
			stream.result(False, f"no kernel at {run.kernel_file(kernel)}; run `make check`, "
				      "which builds what the tests need")
	if not os.path.isdir(HEADERS):
		stream.result(False, "no headers of the tree; run `make guest`")
	return not stream.bad
