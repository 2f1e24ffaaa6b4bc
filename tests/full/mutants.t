#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# covers: mm include patches/linux-6.12 configs/lean.config configs/small.config configs/debug.config configs/mutants.config tests/mutants :!tests/mutants/README.md tests/*.c tests/*.h :!tests/torture* :!tests/hostile.c :!tests/bomb.c
# needs: build vm
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
	Needs: more arguments for tests/run (optional)

One kernel is built with all of them in it, of which freept_mutant=N on its command line
chooses one, see merge(). With it the test has to fail, and to pass without. What is done is
remembered below build/mutants, and not done again until one of the files changes that
it depends on. The table in tests/mutants/README.md is written anew.

	MUTANTS="NAME..."	only those (with * and so on)
	MUTANTS_MINUTES=N	no mutant is begun after so many minutes (40)
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
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MAIN = os.path.abspath(os.environ.get("BUILD") or os.path.join(TOP, "build"))
BUILD = os.environ.get("MUTANTS_BUILD") or os.path.join(MAIN, "mutants")
TREE = os.path.join(BUILD, "tree")
OWN = os.path.join(BUILD, "own")
RESULTS = os.path.join(BUILD, "results.json")
MUTANTS = os.path.join(TOP, "tests/mutants")
OWN_DIRS = ("mm", "include", "Documentation")
MINUTES = float(os.environ.get("MUTANTS_MINUTES") or 40)
MOST_REASONS = 5
ATTEMPTS = 3	# at killing a mutant
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
		if show or line.startswith("vm: still running"):
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
		self.control = "|".join((self.test_without(), self["Window"], self.kernel,
					 self["Boot"], self["Needs"]))

	def test_without(self):
		"""The test that has to pass without the mutant: all KUnit tests at once."""
		return "kunit *" if self["Test"].startswith("kunit ") else self["Test"]

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
	paths += [os.path.join(TOP, "configs", name + ".config") for name in ("lean", "small", "debug", "mutants")]
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
				if not os.path.exists(b):
					shutil.copy2(a, b)
				elif read(a) != read(b):
					shutil.copyfile(a, b)	# as of now, for make
	if os.path.isdir(os.path.join(TREE, ".git")):
		subprocess.run(["git", "checkout", "--quiet", "--", "."], cwd=TREE, check=True)


def lay():
	os.makedirs(BUILD, exist_ok=True)
	os.makedirs(os.path.join(MAIN, "deb"), exist_ok=True)
	if not os.path.lexists(os.path.join(BUILD, "deb")):
		os.symlink("../deb", os.path.join(BUILD, "deb"))
	restore()
	if run(["scripts/tree", "lay"])[1]:
		raise Failure("the tree cannot be laid, see above")


def apply(patch, files):
	"""To a dictionary of texts by name."""
	with tempfile.TemporaryDirectory() as folder:
		for name in patch.files:
			path = os.path.join(folder, name)
			os.makedirs(os.path.dirname(path), exist_ok=True)
			with open(path, "w") as f:
				f.write(files[name])
		got = subprocess.run(["patch", "-p1", "--fuzz=0", "-s", "-d", folder], input=patch.text,
			text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
		if got.returncode:
			say(got.stdout)
			raise Failure(f"{patch.name} does not apply")
		files.update((name, read(os.path.join(folder, name))) for name in patch.files)


# ---- one kernel with all of them -----------------------------------------------
#
# To build a kernel for each mutant takes most of the time. So a function that a
# mutant changes is there twice, and calls its copy where freept_mutant=N on the
# kernel's command line says so.

def functions(text):
	"""A list of what is text, and of (signature, body) as tuples."""
	parts, lines, i, begin = [], text.split("\n"), 0, 0
	while i < len(lines):
		if lines[i] != "{":
			i += 1
			continue
		first = i
		while first and lines[first - 1] and lines[first - 1][0] not in "#}/{" and \
				not lines[first - 1].startswith(" *") and lines[first - 1][-1] not in ";}":
			first -= 1
		end = lines.index("}", i)
		signature = "\n".join(lines[first:i])
		if "(" in signature and "=" not in signature:
			parts += ["\n".join(lines[begin:first]), (signature, "\n".join(lines[i + 1:end]))]
			begin = end + 1
		i = end + 1
	return parts + ["\n".join(lines[begin:])]


def call(signature, name):
	"""The words that call the copy of a function"""
	inner = signature[signature.index("(") + 1:signature.rindex(")")]
	args = [re.search(r"(\w+)(?:\[\])?$", a.strip())[1] for a in inner.split(",")
		if a.strip() not in ("", "void")]
	void = re.match(r"(?:static |inline |noinline )*void\s+\w", signature)
	return ("{ %s(%s); return; }" if void else "return %s(%s);") % (name, ", ".join(args))


def merge(patches):
	"""Texts by name in which each mutant and window has its copies. {number: [patches]}"""
	names = {name for some in patches.values() for p in some for name in p.files}
	original = {name: read(os.path.join(TREE, name)) for name in names}
	merged = {name: functions(text) for name, text in original.items()}
	includes = {name: [] for name in names}
	copies = {}
	for number, some in patches.items():
		files = dict(original)
		for p in some:
			apply(p, files)
		for name in {name for p in some for name in p.files}:
			now, old = functions(files[name]), merged[name]
			if [type(part) for part in now] != [type(part) for part in old]:
				raise Failure(f"{some[-1].name}: adds or removes a function in {name}")
			for i, part in enumerate(now):
				if part == old[i]:
					continue
				if isinstance(part, tuple):
					copies.setdefault((name, i), []).append((number, *part))
					continue
				new = [line for line in part.split("\n") if line not in old[i].split("\n")]
				if any(not line.startswith("#include") for line in new):
					raise Failure(f"{some[-1].name}: changes {name} outside of functions")
				includes[name] += new
	texts = {}
	for name, parts in merged.items():
		out = []
		for i, part in enumerate(parts):
			if not isinstance(part, tuple):
				out.append(part)
				continue
			signature, body = part
			fn = re.search(r"(\w+)\(", signature)[1]
			switch = []
			for number, s, b in copies.get((name, i), []):
				s = re.sub(r"^(static |inline |__always_inline )+", "", s)
				s = s.replace(fn + "(", f"{fn}__{number}(", 1)
				out.append(f"static noinline {s}\n{{\n{b}\n}}\n")
				switch.append(f"\tif (unlikely(freept_mutant == {number}))\n\t\t" +
					      call(signature, f"{fn}__{number}"))
			out.append("\n".join([signature, "{"] + switch + [body, "}"]))
		text = "\n".join(out)
		first = text.index("#include")
		texts[name] = text[:first] + "".join(f"{line}\n" for line in dict.fromkeys(includes[name])) + \
			"extern int freept_mutant;\n" + text[first:]
	home = "mm/freept.c"
	if home in texts:
		texts[home] = texts[home].replace("#ifdef CONFIG_FREEPT_KUNIT_TEST", """int freept_mutant;

static int __init set_freept_mutant(char *str)
{
	return kstrtoint(str, 10, &freept_mutant);
}
early_param("freept_mutant", set_freept_mutant);

#ifdef CONFIG_FREEPT_KUNIT_TEST""")
	return texts


def put(texts):
	for name, text in texts.items():
		path = os.path.realpath(os.path.join(TREE, name))
		if read(path) != text:
			with open(path, "w") as f:
				f.write(text)


def build(kernel):
	if run(["nice", "-n", NICE, "scripts/kernel", kernel])[1]:
		raise Failure("the kernel with all mutants does not build, see above")


# ---- running a test ----------------------------------------------------------

TRACE = re.compile(r"not ok|EXPECTATION FAILED|vm: |Bail out|# .*(BUG|WARNING|possible|Oops|panic)")
KERNEL_SAYS = re.compile(r"\] ((?:BUG|WARNING|kernel BUG|Oops|general protection|Kernel panic).*)")
TEST_SAYS = re.compile(r"not ok \d+ - (?!scripts/vm ended)(?!.*: not run$)(?:\./kunit: )?(.*)")


def test(mutant, program, number):
	"""Returns None if it passes, or the first thing that went wrong."""
	words = ["tests/run", "--kernel", mutant.kernel, "--timeout", "400", "--silence", "120",
		 "--append", f"page_poison=1 freept_mutant={number}"]
	if mutant["Boot"]:
		words += ["--append", mutant["Boot"]]
	words += shlex.split(mutant["Needs"])
	if program.startswith("kunit "):
		words += ["--append", f"kunit.enable=1 kunit.filter_glob=freept.{program.split()[1]}",
			  "--before", """printf '%s\\n' '#!/bin/sh' \
				'cd /sys/kernel/debug/kunit/freept || exit 1' \
				'sed -n "s/^    \\(ok\\|not ok\\|#\\|1\\.\\.\\)/\\1/p" results' \
				>kunit; chmod +x kunit"""]
		program = "./kunit"
	lines, code = run(words + [program], show=False)
	if not code:
		# A test that is skipped has found nothing; those beside it may have.
		if all("# SKIP" in line for line in lines if line.startswith("ok ")):
			return "skipped: all of it"
		return None
	wrong = [line for line in lines if TRACE.search(line)]
	for line in wrong[:6] or lines[-6:]:
		say("  " + line)
	# What the kernel says of itself, and then what the test says. Whatever else there
	# is has not come from what is tried: a word that tests/run does not know, a machine
	# that did not start.
	says = [m[1] for m in map(KERNEL_SAYS.search, lines) if m] + \
	       [m[1] for m in map(TEST_SAYS.match, lines) if m]
	if not says:
		raise Failure(f"{mutant.name}: {program}: neither the test nor the kernel has failed: " +
			      (lines[-1] if lines else "nothing was said"))
	return says[0].replace("|", "/")[:150]


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
			text = ""	# once will do
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
	cases = "".join(read(path) for path in glob.glob(os.path.join(TOP, "mm/freept_kunit*.c")))
	for m in mutants:	# a case that is not there fails, too
		if m["Test"].startswith("kunit ") and f"KUNIT_CASE({m['Test'].split()[1]})" not in cases:
			raise Failure(f"{m.name}: there is no KUnit case like that")
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

	# One number for each mutant, and for each window by itself
	windows = sorted({m.window.path for m in mutants if m.window})
	number = {m.name: i + 1 for i, m in enumerate(mutants)}
	number.update({path: 1001 + i for i, path in enumerate(windows)})
	patches = {number[m.name]: ([m.window] if m.window else []) + [m] for m in mutants}
	patches.update({number[path]: [Patch(path)] for path in windows})
	texts, built = merge(patches), set()

	def tried(m, program, with_mutant):
		if m.kernel not in built:
			put(texts)
			build(m.kernel)
			built.add(m.kernel)
		return test(m, program, number[m.name] if with_mutant else
			    number[m.window.path] if m.window else 0)

	# Does each test pass where nothing is broken, but for the window?
	controls = {}
	chosen.sort(key=lambda m: (m.kernel != "lean", m.kernel))
	for m in chosen:
		controls.setdefault(m.control, m)
	for name, m in controls.items():
		key = m.key(kernel, False)
		old = results.get("control " + name, key)
		what = f"{m.kernel}: {m.test_without()} passes" + \
			(f" with windows/{m['Window']}" if m.window else "")
		if not (old and old["passes"]):
			if late():
				tap.result(False, what + ": not yet tried, run again")
				continue
			how = tried(m, m.test_without(), False)
			results.put("control " + name, key, passes=how is None, how=how)
			old = results.of["control " + name]
		tap.result(old["passes"], what + (f": {old['how']}" if old.get("how") else ""))

	for m in chosen:
		key = m.key(kernel, True)
		old = results.get(m.name, key)
		# One that survived may have been lucky, where it takes a race to kill it.
		if not (old and old["killed"]):
			if late():
				tap.result(False, f"{m.name}: not yet tried, run again")
				continue
			for _ in range(ATTEMPTS):
				how = tried(m, m["Test"], True)
				killed = bool(how) and not how.startswith("skipped")
				if killed:
					break
			results.put(m.name, key, killed=killed, how=how)
			old = results.of[m.name]
		tap.result(old["killed"], f"{m.name}: " + (f"killed by {m['Test']}: {old['how']}"
			if old["killed"] else f"survives {m['Test']}" + (f", {old['how']}" if old["how"] else "")))
	restore()
	report(mutants, results, all_rules)
	print(f"1..{tap.n}")


if __name__ == "__main__":
	try:
		main()
	except Failure as e:
		print(f"Bail out! {e}", flush=True)
		sys.exit(1)
