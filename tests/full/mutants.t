#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# covers: mm include patches/linux-6.12 configs/lean.config configs/mutants.config tests/mutants
"""Break it on purpose: every rule is removed once, and a test must notice.

tests/mutants/NAME.patch takes one rule out of the series or of our own files. It
begins with

	Rule: the number of the rule in tests/mutants/rules, and several if need be
	What: what is left out
	Test: kunit CASE, or a program of tests/ with its arguments
	Window: a patch in tests/mutants/windows that makes the moment longer in which
		it matters; the test must pass with it alone (optional)
	Kernel: debug, or mutants, for that of configs/mutants.config, where the lean one
		does not notice (optional)
	Boot: more words for the command line of the kernel (optional)
	Needs: more arguments for scripts/vm (optional)

For each, the kernel is built with the patch, and the test is run: it has to fail. The same test has to pass without the patch. What is done is
remembered below build/mutants, and not done again until one of the files changes that
it depends on. The table in tests/mutants/README.md is written anew.

	MUTANTS="NAME..."	only those (with * and so on)
	MUTANTS_MINUTES=N	no mutant is begun after so many minutes (50)
	MUTANTS_NICE=N		for the compiler (0)
"""

import fnmatch
import glob
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MAIN = os.path.abspath(os.environ.get("BUILD") or os.path.join(TOP, "build"))
BUILD = os.path.join(MAIN, "mutants")
TREE = os.path.join(BUILD, "tree")
OWN = os.path.join(BUILD, "own")
RESULTS = os.path.join(BUILD, "results.json")
MUTANTS = os.path.join(TOP, "tests/mutants")
OWN_DIRS = ("mm", "include", "Documentation")
MINUTES = float(os.environ.get("MUTANTS_MINUTES") or 50)
MOST_REASONS = 5
NICE = os.environ.get("MUTANTS_NICE") or "0"
START = time.monotonic()


class Failure(Exception):
	"""str() is the one line to print."""


def say(text):
	for line in text.splitlines():
		print("# " + line, flush=True)


def read(path):
	with open(path, errors="replace") as f:
		return f.read()


def run(args, show=True, **env):
	"""Its output line by line as comments; returns the lines and the code."""
	child = subprocess.Popen(args, cwd=TOP, text=True, errors="replace",
		stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
		env=dict(os.environ, BUILD=BUILD, NEWFILES=OWN, **env))
	lines = []
	for line in child.stdout:
		lines.append(line.rstrip())
		if show:
			say(lines[-1])
	return lines, child.wait()


# ---- mutants, and what they depend on ---------------------------------------

class Patch:
	def __init__(self, path):
		self.path = path
		self.name = os.path.splitext(os.path.basename(path))[0]
		self.text = read(path)
		self.head = {}
		for line in self.text.split("\n--- ", 1)[0].splitlines():
			m = re.match(r"([A-Z][a-z]+):\s+(.*)", line)
			if m:
				self.head[m[1]] = m[2].strip()
				last = m[1]
			elif line.strip() and self.head:
				self.head[last] += " " + line.strip()

	def __getitem__(self, key):
		return self.head.get(key, "")

	@property
	def files(self):
		return re.findall(r"^\+\+\+ b/(\S+)", self.text, re.M)


class Mutant(Patch):
	def __init__(self, path):
		super().__init__(path)
		for key in ("Rule", "What", "Test"):
			if not self[key]:
				raise Failure(f"{self.name}: has no line {key}:")
		self.window = Patch(os.path.join(MUTANTS, "windows", self["Window"] + ".patch")) \
			if self["Window"] else None
		# What decides whether the same test was run before
		self.kernel = self["Kernel"] or "lean"
		self.control = "|".join((self["Test"], self["Window"], self.kernel, self["Boot"],
					 self["Needs"]))

	def sources(self):
		"""Of the test, as hashes."""
		program = self["Test"].split()[0]
		if program == "kunit":
			return digest(glob.glob(os.path.join(TOP, "mm/freept_kunit*.c")))
		return digest([os.path.join(TOP, f"tests/{program}.c")] +
			      glob.glob(os.path.join(TOP, "tests/*.h")))

	def key(self, kernel, mutated):
		parts = [kernel, self.sources(), self.control,
			 self.window.text if self.window else ""]
		return hashlib.sha256("\0".join(parts + [self.text] * mutated).encode()).hexdigest()


def digest(paths):
	h = hashlib.sha256()
	for path in sorted(paths):
		with open(path, "rb") as f:
			h.update(os.path.basename(path).encode() + b"\0" + f.read())
	return h.hexdigest()


def kernel_digest():
	paths = glob.glob(os.path.join(TOP, "patches/linux-6.12/*"))
	paths += [os.path.join(TOP, "configs", name + ".config") for name in ("lean", "debug", "mutants")]
	for folder in ("mm", "include"):
		for where, _, names in os.walk(os.path.join(TOP, folder)):
			paths += [os.path.join(where, n) for n in names if "kunit" not in n]
	return digest(paths)


# ---- the tree --------------------------------------------------------------

def restore():
	"""The tree and our files in it as they are without a mutant."""
	for folder in OWN_DIRS:
		for where, _, names in os.walk(os.path.join(TOP, folder)):
			to = os.path.join(OWN, os.path.relpath(where, TOP))
			os.makedirs(to, exist_ok=True)
			for name in names:
				a, b = os.path.join(where, name), os.path.join(to, name)
				if not os.path.exists(b) or read(a) != read(b):
					shutil.copyfile(a, b)	# as of now, for make
	if os.path.isdir(os.path.join(TREE, ".git")):
		subprocess.run(["git", "checkout", "--quiet", "--", "."], cwd=TREE, check=True)


def lay():
	os.makedirs(BUILD, exist_ok=True)
	os.makedirs(os.path.join(MAIN, "deb"), exist_ok=True)
	if not os.path.exists(os.path.join(BUILD, "deb")):
		os.symlink("../deb", os.path.join(BUILD, "deb"))
	restore()
	if run(["scripts/tree", "lay"])[1]:
		raise Failure("the tree cannot be laid, see above")


def apply(patch):
	"""Each file where it is: what is ours is a link in the tree."""
	for part in re.split(r"^(?=--- a/)", patch.text, flags=re.M)[1:]:
		name = re.search(r"^\+\+\+ b/(\S+)", part, re.M)[1]
		root = OWN if os.path.exists(os.path.join(OWN, name)) else TREE
		got = subprocess.run(["patch", "-p1", "--fuzz=0", "--no-backup-if-mismatch", "-s", "-d", root],
			input=part, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
		if got.returncode:
			say(got.stdout)
			raise Failure(f"{patch.name} does not apply to {name}")


def build(kernel):
	env = {}
	if kernel == "mutants":
		env["EXTRA_CONFIG"] = read(os.path.join(TOP, f"configs/{kernel}.config"))
	_, code = run(["nice", "-n", NICE, "scripts/kernel", kernel], **env)
	if code:
		raise Failure("does not build, see above")


# ---- running a test ----------------------------------------------------------

TRACE = re.compile(r"not ok|EXPECTATION FAILED|vm: |Bail out|# .*(BUG|WARNING|possible|Oops|panic)")


def test(mutant):
	"""Returns None if it passes, or the first thing that went wrong."""
	words = ["tests/run", "--kernel", mutant.kernel, "--timeout", "400", "--silence", "120",
		 "--append", "page_poison=1"]
	for text in (mutant["Boot"],):
		if text:
			words += ["--append", text]
	if mutant["Needs"]:
		words += ["--vm", mutant["Needs"]]
	program = mutant["Test"]
	if program.startswith("kunit "):
		words += ["--append", f"kunit.enable=1 kunit.filter_glob=freept.{program.split()[1]}",
			  "--before", """printf '%s\\n' '#!/bin/sh' \
				'cd /sys/kernel/debug/kunit/freept || exit 1' \
				'sed -n "s/^    \\(ok\\|not ok\\|#\\|1\\.\\.\\)/\\1/p" results' \
				>kunit; chmod +x kunit"""]
		program = "./kunit"
	lines, code = run(words + [program], show=False)
	for line in lines:
		if re.match(r"ok \d+ .*# SKIP", line):
			return "skipped: " + line
	if not code:
		return None
	wrong = [line for line in lines if TRACE.search(line)]
	for line in wrong[:6] or lines[-6:]:
		say("  " + line)
	first = next((line for line in wrong if line.startswith("not ok")),
		     wrong[0] if wrong else lines[-1] if lines else "nothing was said")
	return re.sub(r"^(not ok \d+ -|#|vm:)\s*", "", first).replace("|", "/")[:150]


class Results:
	def __init__(self):
		try:
			self.of = json.loads(read(RESULTS))
		except (OSError, ValueError):
			self.of = {}

	def get(self, name, key):
		old = self.of.get(name)
		return old if old and old["key"] == key else None

	def put(self, name, key, **what):
		self.of[name] = dict(what, key=key)
		with open(RESULTS + ".new", "w") as f:
			json.dump(self.of, f, indent=1, sort_keys=True)
		os.rename(RESULTS + ".new", RESULTS)


def try_one(patches, mutant):
	"""Build with these patches, run the test, and tidy up."""
	try:
		for patch in patches:
			apply(patch)
		build(mutant.kernel)
		return test(mutant)
	finally:
		restore()


# ---- the report --------------------------------------------------------------

def rules():
	"""(number, text, reason or None) of tests/mutants/rules"""
	got = []
	for line in read(os.path.join(MUTANTS, "rules")).splitlines():
		if line.startswith("\tnone: "):
			number, text, _ = got[-1]
			got[-1] = number, text, line[7:]
		elif line.startswith("\t"):
			number, text, reason = got[-1]
			if reason is None:
				got[-1] = number, text + " " + line.strip(), None
			else:
				got[-1] = number, text, reason + " " + line.strip()
		elif line and not line.startswith("#"):
			number, text = line.split(None, 1)
			got.append((number, text, None))
	return got


def report(mutants, results, all_rules):
	table = ["| rule | mutant | what is left out | killed by | which says |",
		 "|---|---|---|---|---|"]
	for number, text, reason in all_rules:
		for m in mutants:
			if number not in m["Rule"].split():
				continue
			got = results.of.get(m.name, {})
			how = got.get("how") if got.get("killed") else "not yet"
			test_of = m["Test"] + (f", with windows/{m['Window']}" if m["Window"] else "")
			table.append(f"| {number} {text} | {m.name} | {m['What']} | `{test_of}` | {how} |")
		if reason:
			table.append(f"| {number} {text} | | | | none: {reason} |")
	path = os.path.join(MUTANTS, "README.md")
	old = read(path)
	new = re.sub(r"(<!-- table -->\n).*(<!-- end of table -->)",
		     lambda m: m[1] + "\n".join(table) + "\n" + m[2], old, flags=re.S)
	if new != old:
		with open(path, "w") as f:
			f.write(new)


class Tap:
	def __init__(self):
		self.n = 0
		print("TAP version 13", flush=True)

	def result(self, ok, text):
		self.n += 1
		print(f"{'ok' if ok else 'not ok'} {self.n} - {text}", flush=True)
		return ok


def main():
	tap = Tap()
	mutants = [Mutant(path) for path in sorted(glob.glob(os.path.join(MUTANTS, "*.patch")))]
	names = (os.environ.get("MUTANTS") or "*").split()
	chosen = [m for m in mutants if any(fnmatch.fnmatch(m.name, n) for n in names)]
	all_rules = rules()
	known = {number for number, _, _ in all_rules}
	for number, text, reason in all_rules:
		have = sum(number in m["Rule"].split() for m in mutants)
		tap.result(have or reason, f"rule {number} has {have} mutants" +
			   (" and a reason why not" if reason and not have else ""))
	stray = [m.name for m in mutants if not set(m["Rule"].split()) <= known]
	tap.result(not stray, "every mutant names its rule " + " ".join(stray))
	reasons = sum(bool(reason) for _, _, reason in all_rules)
	tap.result(reasons <= MOST_REASONS, f"{reasons} reasons, {MOST_REASONS} at the most")

	results = Results()
	lay()
	if run(["scripts/guest-tests"], TREE=TREE)[1]:
		raise Failure("the tests cannot be compiled, see above")
	kernel = kernel_digest()

	def late():
		return time.monotonic() - START > MINUTES * 60

	# Does each test pass where nothing is broken?  Same window, one build.
	controls = {}
	for m in sorted(chosen, key=lambda m: (m.kernel, m["Window"])):
		controls.setdefault(m.control, m)
	built = None
	for name, m in controls.items():
		key = m.key(kernel, False)
		old = results.get("control " + name, key)
		what = f"{m['Test']} passes" + (f" with windows/{m['Window']}" if m.window else "")
		if old and old["passes"]:
			tap.result(True, what)
			continue
		if late():
			tap.result(False, what + ": not yet tried, run again")
			continue
		if built != (m.kernel, m["Window"]):
			restore()
			if m.window:
				apply(m.window)
			build(m.kernel)
			built = m.kernel, m["Window"]
		how = test(m)
		results.put("control " + name, key, passes=how is None)
		tap.result(how is None, what + (f": {how}" if how else ""))
	restore()

	for m in chosen:
		key = m.key(kernel, True)
		old = results.get(m.name, key)
		if not old:
			if late():
				tap.result(False, f"{m.name}: not yet tried, run again")
				continue
			began = time.monotonic()
			try:
				how = try_one(([m.window] if m.window else []) + [m], m)
			except Failure as e:
				tap.result(False, f"{m.name}: {e}")
				continue
			killed = bool(how) and not how.startswith("skipped")
			results.put(m.name, key, killed=killed, how=how,
				    seconds=round(time.monotonic() - began))
			old = results.of[m.name]
			say(f"{m.name}: {old['seconds']} s")
		tap.result(old["killed"], f"{m.name}: " + (f"killed by {m['Test']}: {old['how']}"
			if old["killed"] else f"survives {m['Test']}" + (f", {old['how']}" if old["how"] else "")))
	report(mutants, results, all_rules)
	print(f"1..{tap.n}")


if __name__ == "__main__":
	try:
		main()
	except Failure as e:
		print(f"Bail out! {e}", flush=True)
		sys.exit(1)
