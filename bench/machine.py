# SPDX-License-Identifier: GPL-2.0-only
"""What the benchmarks share: programs for the guest, machines, and results.

A result is what one machine has said: its figures, and what its kernel cannot
do. It is kept in build/bench/results under a name made from all that went into
the machine (kernel, programs, arguments), so that a run that was broken off goes on
where it was, and a figure is never taken for that of another kernel.
"""

import hashlib
import json
import os
import shlex
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.abspath(os.environ.get("BUILD") or os.path.join(TOP, "build"))
TREE = os.environ.get("TREE") or os.path.join(BUILD, "tree")
WORK = os.path.join(BUILD, "bench")


class Failure(Exception):
	"""str() is the one line to print."""


def say(text):
	print(f"bench: {text}", file=sys.stderr, flush=True)


def compile_guest(name, static=True):
	"""One binary for all kernels, stripped: results are known by what runs, and not by
	comments. The harness is a header of the tree."""
	out = os.path.join(WORK, name)
	os.makedirs(WORK, exist_ok=True)
	if subprocess.run(shlex.split(os.environ.get("CC", "gcc")) + [
			"-O2", "-s", "-Wall", "-Wextra", "-Wno-unused-parameter",
			"-Wno-sign-compare", "-Wno-missing-field-initializers",
			"-D_GNU_SOURCE", "-isystem", os.path.join(BUILD, "headers/usr/include"),
			"-isystem", os.path.join(TREE, "tools/testing/selftests"),
			"-pthread", *(["-static"] if static else []), "-o", out,
			os.path.join(TOP, f"bench/{name}.c")]).returncode:
		raise Failure(f"cannot compile bench/{name}.c; run `make guest` first")
	return out


def digest(path):
	with open(path, "rb") as f:
		return hashlib.sha256(f.read()).hexdigest()


def words_of(args, kernel, initrd, put, command):
	vm = [os.path.join(TOP, "scripts/vm"), "--silence", "900", "--kernel", kernel,
	      "--append", "nokaslr"]
	for path in initrd:
		vm += ["--initrd", path]
	for path in put:
		vm += ["--put", f"{path}:tests/{os.path.basename(path)}"]
	return vm + args + ["--", *command]


def parse(text, kernel):
	figures, cannot, ended = {}, [], False
	for line in text.splitlines():
		if line.startswith("bench-error"):
			raise Failure(f"{kernel}: {line[12:]}")
		ended |= line == "bench-end"
		words = line.split()
		if words[:1] == ["figure"] and len(words) == 3:
			figures[words[1]] = float(words[2])
		elif words[:1] == ["cannot"]:
			cannot.append(words[1])
	return figures, cannot, ended


def machine(kernel, command, put=(), initrd=(), mem="2G", seed=None, smp=2, again=None):
	"""One run. With a seed, a machine that counts instructions and in which nothing
	is left to chance but what follows from the seed; without one, an ordinary one.
	again tells runs apart that are the same."""
	if not os.path.isfile(kernel):
		raise Failure(f"no kernel at {kernel}")
	args = ["--mem", mem]
	if seed is None:
		args += ["--smp", str(smp)]
	else:
		# a clock that begins with the machine, and random numbers that are none
		args += ["--icount", "--smp", "1", "--qemu",
			 f"-seed {seed} -rtc base=2026-01-01T00:00:00,clock=vm"]
	key = json.dumps([digest(kernel), list(command), [digest(p) for p in put],
			  [digest(p) for p in initrd], args, again])
	path = os.path.join(WORK, "results", hashlib.sha256(key.encode()).hexdigest()[:24])
	try:
		with open(path, encoding="utf-8") as f:
			return json.load(f)
	except (OSError, ValueError):
		pass
	done = subprocess.run(words_of(args, kernel, initrd, put, command),
		stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, errors="replace")
	figures, cannot, ended = parse(done.stdout, kernel)
	if done.returncode or not ended:
		raise Failure(f"{kernel}: the machine failed")
	result = {"figures": figures, "cannot": cannot}
	os.makedirs(os.path.dirname(path), exist_ok=True)
	with open(path + ".tmp", "w", encoding="utf-8") as f:
		json.dump(result, f)
	os.rename(path + ".tmp", path)
	return result


class Runs:
	"""What the kernels have said in one part: figures by kind of kernel."""

	def __init__(self, kernels):
		self.kernels = kernels		# {"stock": FILE, "ptfree": FILE, "peer": FILE}
		self.all = {kind: {} for kind in kernels}
		self.cannot = {kind: set() for kind in kernels}
		self.unsteady = []		# (kind, name, per cent)
		self.apart = 0.0		# per cent, the worst of what is promised

	def take(self, kind, results, agree):
		"""Results of the same work under different seeds; the mean is the figure."""
		for r in results:
			self.cannot[kind] |= set(r["cannot"])
		for name in results[0]["figures"]:
			values = [r["figures"][name] for r in results]
			mean = sum(values) / len(values)
			self.all[kind][name] = mean
			apart = 100 * (max(values) - min(values)) / abs(mean) if mean else 0
			# of what is not promised it need not be known as well
			promised = "-budget/" not in name
			if promised:
				self.apart = max(self.apart, apart)
			if apart > (agree if promised else 5 * agree):
				self.unsteady.append((kind, name, apart))

	def others(self):
		return [kind for kind in self.kernels if kind != "ptfree"]

	def get(self, kind, name):
		return self.all.get(kind, {}).get(name)

	def count(self, part, seeds, agree, *commands, kinds=None, **more):
		"""Run each of the commands once for each seed on each kernel, or on some."""
		for kind, kernel in self.kernels.items():
			if kinds and kind not in kinds:
				continue
			for command in commands:
				results = []
				for seed in seeds:
					say(f"{part}: {kind} kernel, "
					    f"{' '.join(w.split('=')[0] for w in command[1:]) or 'all'}"
					    f" ({seed} of {len(seeds)})")
					results.append(machine(kernel, command, seed=seed, **more))
				self.take(kind, results, agree)
