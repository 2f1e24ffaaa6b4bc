# SPDX-License-Identifier: GPL-2.0-only
"""What the benchmarks share: a program for the guest, a machine that counts instructions."""

import os
import shlex
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.abspath(os.environ.get("BUILD") or os.path.join(TOP, "build"))
TREE = os.environ.get("TREE") or os.path.join(BUILD, "tree")
NAME = os.path.basename(sys.argv[0])


def say(text):
	print(f"{NAME}: {text}", file=sys.stderr, flush=True)


def die(text):
	say(text)
	sys.exit(2)


def compile_guest(name):
	"""One binary for all kernels. The harness is a header of the tree."""
	out = os.path.join(BUILD, "bench", name)
	os.makedirs(os.path.dirname(out), exist_ok=True)
	if subprocess.run(shlex.split(os.environ.get("CC", "gcc")) + [
			"-O2", "-g", "-Wall", "-Wextra", "-Wno-unused-parameter",
			"-Wno-sign-compare", "-Wno-missing-field-initializers",
			"-D_GNU_SOURCE", "-isystem", os.path.join(BUILD, "headers/usr/include"),
			"-isystem", os.path.join(TREE, "tools/testing/selftests"),
			"-pthread", "-static", "-o", out,
			os.path.join(TOP, f"bench/{name}.c")]).returncode:
		die(f"cannot compile bench/{name}.c; run `make guest` first")
	return out


def boot(kernel, program, *args):
	"""One run: the words of each line that the program has printed."""
	if not os.path.isfile(kernel):
		die(f"no kernel at {kernel}")
	name = os.path.basename(program)
	done = subprocess.run([os.path.join(TOP, "scripts/vm"), "--icount", "--smp", "1",
		"--silence", "900", "--kernel", kernel, "--append", "nokaslr", *args,
		"--put", f"{program}:tests/{name}", "--", f"/tests/{name}"],
		stdout=subprocess.PIPE, text=True, errors="replace")
	lines, ended = [], False
	for line in done.stdout.splitlines():
		if line.startswith("bench-error"):
			die(f"{kernel}: {line[12:]}")
		ended |= line == "bench-end"
		lines.append(line.split())
	if done.returncode or not ended:
		die(f"{kernel}: the machine failed")
	return [words for words in lines if words]
