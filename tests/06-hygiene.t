#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""What the kernel's own tools say of the series and of our files: nothing.

checkpatch --strict, gcc with W=1, sparse, coccicheck, kernel-doc, and Sphinx as
`make htmldocs` has it, but for our documents and those that the series edits alone,
which takes seconds in place of an hour. Needs no virtual machine.
"""

import collections
import concurrent.futures
import glob
import os
import re
import shutil
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.abspath(os.environ.get("BUILD") or os.path.join(TOP, "build"))
TREE = os.path.join(BUILD, "tree")
OUT = os.path.join(BUILD, "hygiene")
DOCS = os.path.join(BUILD, "hygiene-docs")
# Python has to be that of the system, for which Debian's packages have the modules.
# What is done here is not meant for the trees and builds that the caller has in mind.
ENV = {k: v for k, v in os.environ.items() if k not in ("COMPILE", "PATCH", "TREE", "TARGETS")}
ENV.update(PATH="/usr/bin:/bin:" + ENV.get("PATH", ""), BUILD=BUILD, LC_ALL="C",
	   PYTHONDONTWRITEBYTECODE="1")
# In what a compiler or a checker says: a place in one of our files
OURS = re.compile(r"\b(freept|memcontrol-pt)[\w-]*\.[ch]:\d+")

n = 0


def result(wrong, text):
	"""Good if there is nothing in the list of what is wrong"""
	global n
	n += 1
	print(f"{'not ok' if wrong else 'ok'} {n} - {text}")
	for line in wrong[:40]:
		print("#   " + line.replace(TREE + "/", ""))
	sys.stdout.flush()


def run(*args, cwd=TREE, **env):
	"""Code and lines of what is said, on whatever channel"""
	got = subprocess.run(args, cwd=cwd, env=dict(ENV, **env), text=True, errors="replace",
		stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
	return got.returncode, got.stdout.splitlines()


def git(*args):
	return subprocess.run(["git", *args], cwd=TREE, check=True, text=True,
		stdout=subprocess.PIPE).stdout


def read(path):
	with open(path, errors="replace") as f:
		return f.read()


def added():
	"""Our files, as the series names them"""
	return re.findall(r"[\w./-]+", " ".join(re.findall(r"^[^#\n]+# adds (.*)",
		read(os.path.join(TOP, "patches/linux-6.12/series")), re.M)))


# ---- compiler and sparse ------------------------------------------------------

def compiled(sources):
	"""Those that are compiled by themselves: the others are included by one of them"""
	included = set(re.findall(r'#include "(\w+\.c)"', "".join(
		read(os.path.join(TREE, s)) for s in sources)))
	return [s[:-2] + ".o" for s in sources if os.path.basename(s) not in included]


def make(objects, flags):
	code, lines = run(os.path.join(TOP, "scripts/kernel"), "hygiene", cwd=TOP, KFLAGS=flags,
		TARGETS=" ".join(objects), EXTRA_CONFIG="CONFIG_DEBUG_KERNEL=y\nCONFIG_FREEPT_DEBUG=y\n"
			     "CONFIG_IA32_EMULATION=y")
	said = read(os.path.join(BUILD, "log/kernel-hygiene.log")).splitlines()
	missing = [o for o in objects if not os.path.exists(os.path.join(OUT, o))]
	return lines if code else [f"{o} was not made" for o in missing], said


def compiler(objects):
	for name in objects:	# or they would be silent this time
		if os.path.exists(os.path.join(OUT, name)):
			os.unlink(os.path.join(OUT, name))
	wrong, said = make(objects, "W=1")
	result(wrong + [l for l in said if re.search(r"warning|rror:", l)],
	       f"W=1: gcc has nothing to say of {len(objects)} files")
	wrong, said = make(objects, "W=1 C=2 CHECK=sparse")
	checked = sum(l.startswith("  CHECK ") for l in said)
	if checked < len(objects):
		wrong.append(f"{checked} files of {len(objects)} were looked at")
	result(wrong + [l for l in said if OURS.search(l) and re.search(r"warning|rror:", l)],
	       "sparse has nothing to say of them")
	# The lean kernel runs no 32-bit programs, Debian's does: that part of it includes
	# headers of mm with a configuration in which a word has 32 bits.
	wrong, said = make(["arch/x86/entry/vdso/"], "")
	result(wrong + [l for l in said if re.search(r"warning|rror:", l)],
	       "the vDSO of 32-bit programs compiles")


# ---- coccicheck ----------------------------------------------------------------

def spatch(script, files):
	"""As scripts/coccicheck does it for one script, here for some files alone"""
	options = re.findall(r"Options:(.*)", read(os.path.join(TREE, script)))
	include = [word for path in ("arch/x86/include", OUT + "/arch/x86/include/generated",
		"include", OUT + "/include", "include/uapi") for word in ("-I", path)]
	return script, *run("spatch", "-D", "report", "--no-show-diff", "--very-quiet",
		"--cocci-file", script, *" ".join(options).split(), *include,
		"--include", "include/linux/compiler-version.h",
		"--include", "include/linux/kconfig.h", *files)


def coccicheck(sources, headers):
	# Macros that do not look like C are left out, with what they hide. A file of
	# which much is left out would never have a report.
	pool = concurrent.futures.ThreadPoolExecutor(os.cpu_count())
	wrong, skipped = [], 0
	for name, (_, lines) in zip(sources, pool.map(lambda s: run("spatch", "--parse-c", s), sources)):
		got = re.findall(r"([\d.]+)% good or passed", "\n".join(lines))
		if not got or float(got[-1]) < 95:
			wrong.append(f"{name}: {got[-1] if got else 'nothing'} %")
	result(wrong, "coccinelle can read our files")

	wrong = []
	# The one that takes longest is among the last.
	scripts = sorted((os.path.relpath(p, TREE) for p in glob.glob(
		os.path.join(TREE, "scripts/coccinelle/**/*.cocci"), recursive=True)), reverse=True)
	for script, code, lines in pool.map(lambda s: spatch(s, sources + headers), scripts):
		# Two of them: a driver's own, and pointers that are compared with 0, of
		# which sparse tells as well. The compiler takes 450 MB.
		if code and any("No OCaml compiler" in l for l in lines):
			skipped += 1
		elif code:
			wrong += [f"{script}: {l}" for l in lines[-3:] or ["failed"]]
		wrong += [l for l in lines if OURS.search(l)]
	if len(scripts) - skipped < 60:
		wrong.append(f"{skipped} of {len(scripts)} scripts need something that is missing")
	result(wrong, f"coccicheck: {len(scripts) - skipped} scripts find nothing")


# ---- kernel-doc ----------------------------------------------------------------

DECLARED = re.compile(r"^(?:extern |static inline )?(?!struct \w+ {|return|typedef)"
		      r"[a-z_][\w ]*[ *](\w+)\([^;{]*[;{)]", re.M)


def declared(text):
	"""Functions of a header: declared, or inline"""
	text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
	return set(DECLARED.findall(text))


def kernel_doc(sources, headers):
	files = sources + headers
	code, lines = run("perl", "scripts/kernel-doc", "-none", "-Wall", "-Werror", *files)
	result(lines or (["failed"] if code else []), "kernel-doc has nothing to say of our files")

	# Whatever another file can call: declared in a header of ours, or defined for
	# everybody, which is what W=1 wants to be declared in some header.
	calls = {}
	for name in headers:
		calls.update((f, name) for f in declared(read(os.path.join(TREE, name))))
	for name in compiled(sources):
		for line in run("nm", os.path.join(OUT, name))[1]:
			words = line.split()
			if len(words) == 3 and words[1] == "T":
				calls.setdefault(words[2], name)
	described = {}
	for name in files + ["mm/memcontrol.c"]:
		text = "\n".join(run("perl", "scripts/kernel-doc", "-rst", name)[1])
		for part in re.split(r"^(?=\.\. c:function::)", text, flags=re.M)[1:]:
			described[re.search(r"(\w+) \(", part)[1]] = "**Context**" in part
	wrong = []
	for function, name in sorted(calls.items()):
		# Made by macros; or the second half of what is inline, and described there
		if re.match(r"__(pfx_|SCT__|probestub_|traceiter_)", function) or \
				function.startswith("__") and function[2:] in described:
			continue
		if function not in described:
			wrong.append(f"{name}: {function}() has no kernel-doc comment")
		elif not described[function]:
			wrong.append(f"{name}: {function}() says nothing of its context")
	if len(calls) < 50:
		wrong.append(f"only {len(calls)} functions were found")
	result(wrong, f"kernel-doc: {len(calls)} functions that other files can call")


# ---- documents -----------------------------------------------------------------

def sphinx(name, texts):
	"""Warnings by file, as a count of each, of a folder with nothing else in it"""
	folder = os.path.join(DOCS, name)
	shutil.rmtree(folder, ignore_errors=True)
	texts = {"index.rst": "Documents\n=========\n\n.. toctree::\n\n" + "".join(
		f"   {f[:-4]}\n" for f in sorted(texts) if f not in TOCTREES), **texts}
	for file, text in texts.items():
		path = os.path.join(folder, file)
		os.makedirs(os.path.dirname(path), exist_ok=True)
		with open(path, "w") as f:
			f.write(text)
	log = os.path.join(DOCS, name + ".log")
	code, lines = run("sphinx-build", "-b", "dummy", "-q", "-E", "-w", log,
		"-c", os.path.join(TREE, "Documentation"), "-d", os.path.join(DOCS, name + ".trees"),
		folder, os.path.join(DOCS, name + ".out"), srctree=TREE)
	found = collections.defaultdict(collections.Counter)
	for line in read(log).splitlines() if os.path.exists(log) else []:
		m = re.match(re.escape(folder) + r"/([^:]+):(?:\d+:)? *((?:WARNING|ERROR|CRITICAL|SEVERE).*)", line)
		if m:
			found[m[1]][m[2]] += 1
	if code:
		found[""].update(lines[-4:] or ["failed"])
	return found


# Their documents are listed in one of ours, or in none.
TOCTREES = set()


def documents(names):
	base = re.search(r'"base": "(\w+)"', read(os.path.join(TREE, ".git/ptfree.json")))[1]
	edited = [f[14:] for f in git("diff", "--name-only", base, "--", "Documentation").split()
		  if f.endswith(".rst")]
	own = [f[14:] for f in names if f.startswith("Documentation/")]
	old = {f: git("show", f"{base}:Documentation/{f}") for f in edited}
	new = {f: read(os.path.join(TREE, "Documentation", f)) for f in edited + own}
	TOCTREES.update(own)
	before, after = sphinx("old", old), sphinx("new", new)
	wrong = list(before[""]) + list(after[""])
	for name in own:
		wrong += [f"{name}: {text}" for text in after[name]]
		wrong += [f"{name}: there is no {ref}" for ref in
			  re.findall(r"\bDocumentation/[\w/.-]+\.(?:rst|txt)", new[name])
			  if not os.path.exists(os.path.join(TREE, ref))]
	result(wrong, f"htmldocs: {len(own)} documents of ours without a warning")
	wrong = [f"{name}: {text}" for name in edited for text in after[name] - before[name]]
	result(wrong, f"htmldocs: no new warning in {len(edited)} that are edited")


# --------------------------------------------------------------------------------

def main():
	print("TAP version 13", flush=True)
	code, lines = run(os.path.join(TOP, "scripts/tree"), "lay", cwd=TOP)
	if code:
		print("Bail out! " + (lines[-1] if lines else "the tree cannot be laid"))
		return 1
	# One process for a minute: beside it there is work for the others.
	with subprocess.Popen([os.path.join(TOP, "scripts/tree"), "series"], cwd=TOP, env=ENV,
			text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as series:
		names = added()
		sources = [f for f in names if f.endswith(".c")]
		# Tracepoints are no C to coccinelle and kernel-doc.
		headers = [f for f in names if f.endswith(".h") and "/trace/" not in f]
		compiler(compiled(sources))
		coccicheck(sources, headers)
		kernel_doc(sources, headers)
		documents(names)
		said = series.communicate()[0].splitlines()
	clean = any(re.search(r"checkpatch --strict: (\d+) of \1 clean", l) for l in said)
	result([] if clean and not series.returncode else said, "checkpatch --strict: the series")
	print(f"1..{n}")
	return 0


sys.exit(main())
