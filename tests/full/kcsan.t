#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# covers: mm include patches/linux-6.12 configs/lean.config configs/small.config configs/kcsan.config
# needs: build vm
"""Data races: some minutes of torture, and the KUnit tests, on a kernel with KCSAN.

A report with a function of ours in one of its two stacks is a failure, and so is a race
in a function that the series changes, unless KNOWN has what else it is about. Others
are those of the kernel as it is: they are counted, and shown once each.

	KCSAN_SECONDS=N		of torture (300)
"""

import json
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("BUILD") or os.path.join(TOP, "build"))
SECONDS = os.environ.get("KCSAN_SECONDS") or "300"
OURS = re.compile(r"freept|memcg_pt|\bpt_(?!regs)\w|\bfk_")
# Races in functions that the series changes, and in what it does not change of them:
# the functions as a report's title has them, and why it is none of ours
KNOWN = {
}

n = 0


def say(text):
	for line in text.splitlines():
		print("# " + line, flush=True)


def result(ok, text):
	global n
	n += 1
	print(f"{'ok' if ok else 'not ok'} {n} - {text}", flush=True)
	return ok


def run(args, **env):
	child = subprocess.Popen(args, cwd=TOP, text=True, errors="replace",
		stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=dict(os.environ, **env))
	for line in child.stdout:
		say(line.rstrip())
	return child.wait()


def reports(log):
	"""(title, functions of both stacks) of each report in a console log"""
	with open(log, errors="replace") as f:
		lines = [re.sub(r"^(?:<\d+>)?(?:\[[^]]*\]\s?)*", "", line.rstrip()) for line in f]
	got, title, names = [], None, []
	for line in lines:
		m = re.match(r"BUG: KCSAN: (.*)", line)
		if m:
			title, names = m[1], []
		elif title and line.startswith("====="):
			got.append((title, names))
			title = None
		elif title:
			m = re.match(r"\s*([\w.]+)\+0x[0-9a-f]+/0x[0-9a-f]+", line)
			if m:
				names.append(m[1])
	if title:
		got.append((title, names))
	return got


def changed():
	"""Functions that the series changes, or that stand before what it adds"""
	tree = os.path.join(BUILD, "tree")
	with open(os.path.join(tree, ".git/ptfree.json")) as f:
		laid = json.load(f)
	diff = subprocess.run(["git", "diff", "-U0", laid["base"], laid["head"], "--", "*.c"],
		cwd=tree, check=True, text=True, errors="replace", stdout=subprocess.PIPE).stdout
	return set(re.findall(r"^@@[^@]*@@ .*?(\w+)\(", diff, re.M))


def main():
	print("TAP version 13", flush=True)
	failed = run(["scripts/tree", "lay"]) or run(["scripts/kernel", "kcsan"]) or \
		run(["scripts/guest-tests"])
	if not result(not failed, "the kernel with KCSAN and the tests are built"):
		print(f"1..{n}")
		return
	log = os.path.join(BUILD, "log/guest-kcsan.log")
	code = run(["tests/run", "--kernel", "kcsan", "--log", log, "--timeout", "3000",
		    "--silence", "600", "--allow", "KCSAN",
		    "--append", "kunit.enable=1 kunit.filter_glob=freept*",
		    "torture --lacks second-node,kmemleak,CONFIG_FREEPT_DEBUG,CONFIG_GUP_TEST "
		    f"--seconds {SECONDS} --min 10", "vanish"])
	result(not code, "torture and what looks for races pass, and nothing else is wrong")
	with open(log, errors="replace") as f:
		text = f.read()
	result(re.search(r"selftest: (\d+)/\1 tests passed", text), "KCSAN works in this kernel")
	edited = changed()
	result("move_pages_pte" in edited, f"the series changes {len(edited)} functions")
	ours, others = [], {}
	for title, names in reports(log):
		racing = set(re.findall(r"\w+", title))
		if OURS.search(title) or any(OURS.search(name) for name in names) or \
		   (racing & edited and title not in KNOWN):
			ours.append((title, names))
		else:
			others[title] = others.get(title, 0) + 1
	for title, names in ours:
		say(f"{title}: " + " ".join(names))
	result(not ours, f"no data race of ours, {len(ours)} reports")
	say(f"others, {len(others)} in {sum(others.values())} reports:")
	for title, times in sorted(others.items()):
		say(f"  {title} ({times})")
	print(f"1..{n}")


if __name__ == "__main__":
	main()
