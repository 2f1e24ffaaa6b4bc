#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""ptfree(8): built, checked, and used in virtual machines.

tests/tool/guest.sh is what runs there: on the patched kernel, the same with
freept=off, and a stock one (KERNEL and STOCK name others). What it sends
in comments, "@json NAME BASE64" and the like, is parsed and compared here.
"""

import base64
import json
import os
import re
import shutil
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.abspath(os.environ.get("BUILD") or os.path.join(TOP, "build"))
OUT = os.path.join(BUILD, "tools")
TOOL = os.path.join(OUT, "cgroup/ptfree")
SOURCE = os.path.join(TOP, "tools/cgroup")
TABLE = 4096
count = bad = 0


def result(good, text, why=""):
	global count, bad
	count += 1
	bad += not good
	print(f"{'' if good else 'not '}ok {count} - {text}", flush=True)
	if not good:
		for line in str(why).splitlines()[-40:]:
			print("#   " + line)


def command(text, *args, code=0, env=None, cwd=TOP):
	"""A command that must end with code, and say nothing of sanitizers."""
	p = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
			   errors="replace", cwd=cwd, env=dict(os.environ, **(env or {})))
	result(p.returncode == code, text, f"code {p.returncode}\n{p.stdout}")
	return p.stdout


def check(text, function, *args):
	"""function raises AssertionError, or KeyError and the like, where it is not so."""
	try:
		function(*args)
	except (AssertionError, KeyError, ValueError, TypeError, IndexError, StopIteration) as e:
		result(False, text, f"{type(e).__name__}: {e}")
	else:
		result(True, text)


def same(a, b):
	assert a == b, f"{a!r} is not {b!r}"


# ---- what is built -----------------------------------------------------------

def build():
	os.makedirs(OUT, exist_ok=True)
	command("builds without a warning", "make", "-s", "-C", SOURCE, f"O={OUT}/cgroup",
		"CFLAGS=-O2 -g -Werror")
	for name in ("filler", "mixer", "screen"):
		command(f"the test's own {name} builds", "gcc", "-O2", "-Wall", "-Wextra", "-Werror",
			"-static", "-o", f"{OUT}/{name}", f"tests/tool/{name}.c", "-lutil")
	command("the test's own ranges.so builds", "gcc", "-O2", "-Wall", "-Wextra", "-Werror",
		"-shared", "-fPIC", "-o", f"{OUT}/ranges.so", "tests/tool/ranges.c", "-ldl")


def hostile_names():
	"""Whoever may make a cgroup chooses its name, and root presses TAB."""
	root = os.path.join(OUT, "completion")
	shutil.rmtree(root, ignore_errors=True)
	names = ["x$(touch ran).service", "x`touch ran`.slice", "x y.service", "x;touch ran",
		 "x*", "x'\\", "other.service"]
	for name in names:
		os.makedirs(os.path.join(root, "top", name))
	script = """
		. "$1"/tools/cgroup/ptfree.bash
		_ptfree_root() { echo "$PWD"; }
		COMP_WORDS=(ptfree survey "$2") COMP_CWORD=2 COMPREPLY=() && _ptfree
		for word in "${COMPREPLY[@]}"; do
			eval "set -- $word"	# as the shell does with the finished line
			[ $# = 1 ] && printf '%s\\n' "$1"
		done"""
	for typed, want in (("x", [n for n in names if n.endswith((".service", ".slice")) and n[0] == "x"]),
			    ("top/x", ["top/" + n for n in names if n[0] == "x"]),
			    (root + "/top/x\\ ", [root + "/top/x y.service"]),
			    ("top/x\\$", ["top/" + names[0]])):
		p = subprocess.run(["bash", "-c", script, "bash", TOP, typed], cwd=root, text=True,
				   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
		result(sorted(p.stdout.splitlines()) == sorted(want),
		       f"the completion offers odd names after {typed.replace(root, '')!r}", p.stdout)
	result(os.listdir(root) == ["top"], "and runs nothing that is in them", os.listdir(root))


def static_checks():
	command("cppcheck", "cppcheck", "--quiet", "--error-exitcode=1", "--std=c11",
		"--enable=warning,portability", "--inline-suppr", "-D_GNU_SOURCE",
		"--suppress=missingIncludeSystem", SOURCE, "tests/tool")
	command("shellcheck", "shellcheck", "--severity=warning", "tests/tool/guest.sh",
		"tools/cgroup/ptfree.bash")
	out = command("the manual page has no errors", "groff", "-man", "-Tutf8", "-ww", "-z",
		      "tools/cgroup/ptfree.8")
	result(not out, "nor warnings", out)
	with open(os.path.join(SOURCE, "main.c")) as f, \
			open(os.path.join(SOURCE, "ptfree.8")) as man, \
			open(os.path.join(SOURCE, "ptfree.bash")) as bash:
		options = set(re.findall(r"--([a-z-]+)", f.read())) - {"version"}
		man, bash = man.read().replace("\\-", "-"), bash.read()
	missing = [o for o in sorted(options) if "--" + o not in man]
	result(not missing, "the manual page has every option", missing)
	missing = [o for o in sorted(options) if "--" + o not in bash]
	result(not missing, "the completion has every option", missing)
	command("the completion completes", "bash", "-c", """
		. tools/cgroup/ptfree.bash
		COMP_WORDS=(ptfree re) COMP_CWORD=1 COMPREPLY=() && _ptfree
		[ "${COMPREPLY[*]}" = reclaim ] || exit 1
		COMP_WORDS=(ptfree survey --li) COMP_CWORD=2 COMPREPLY=() && _ptfree
		[ "${COMPREPLY[*]}" = --lines ]""")
	hostile_names()
	where = os.path.join(OUT, "installed")
	shutil.rmtree(where, ignore_errors=True)
	command("make install", "make", "-s", "-C", SOURCE, f"O={OUT}/cgroup",
		"CFLAGS=-O2 -g -Werror", f"DESTDIR={where}", "install")
	files = sorted(os.path.relpath(os.path.join(d, f), where)
		       for d, _, names in os.walk(where) for f in names)
	result(files == ["usr/lib/systemd/system/ptfree-metrics.service",
			 "usr/lib/systemd/system/ptfree-metrics.timer",
			 "usr/lib/systemd/system/ptfree-status.service", "usr/sbin/ptfree",
			 "usr/share/bash-completion/completions/ptfree",
			 "usr/share/man/man8/ptfree.8"], "it installs what it should", files)
	command("make uninstall", "make", "-s", "-C", SOURCE, f"O={OUT}/cgroup",
		f"DESTDIR={where}", "uninstall")
	left = [f for _, _, names in os.walk(where) for f in names]
	result(not left, "it removes all of it", left)


def sanitized():
	"""The same program with the sanitizers, on this machine's own kernel."""
	out = os.path.join(OUT, "sanitized")
	command("builds with the sanitizers", "make", "-s", "-C", SOURCE, f"O={out}",
		"CFLAGS=-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all")
	for args, code in ((("survey",), 0), (("survey", "--json", "1"), None),
			   (("survey", "--thorough"), 0), (("top", "-bn2", "-d0.2"), 0),
			   (("top", "-btn1"), 0), (("metrics", "--scan"), 0),
			   (("status",), None), (("status", "--json"), None),
			   (("survey", "no.service"), 4), (("reclaim", "12M8", "/"), None)):
		# What is left over where it gives up is no leak.
		env = dict(os.environ, ASAN_OPTIONS=f"detect_leaks={int(code == 0)}")
		p = subprocess.run([out + "/ptfree", *args], stdout=subprocess.PIPE, env=env,
				   stderr=subprocess.STDOUT, text=True, errors="replace")
		clean = not re.search(r"Sanitizer|runtime error", p.stdout)
		right = p.returncode == code if code is not None else p.returncode in range(6)
		result(clean and right, "sanitizers: ptfree " + " ".join(args),
		       f"code {p.returncode}\n{p.stdout}")
	# ncurses keeps what it has allocated
	command("sanitizers: ptfree top, on a terminal", f"{OUT}/screen", "24x80", "wait:TABLES",
		"key:g", "wait:PROCS", "key:t", "wait:as a tree", "key:h", "wait:Any key", "key:x",
		"size:7x20", "gone:TABLES", "size:60x200", "wait:CGROUP", "key:>>>r<Fcg^I^I ",
		"key:\\e[B\\e[B\\e[A", "key:q", "exit:0", "--", out + "/ptfree", "top", "-d0.3",
		env={"ASAN_OPTIONS": "detect_leaks=0"})


def root_files():
	"""The tool, its libraries, and the terminals that it has to know."""
	stage = os.path.join(OUT, "stage")
	shutil.rmtree(stage, ignore_errors=True)

	def put(src, dest):
		dest = os.path.join(stage, dest.lstrip("/"))
		os.makedirs(os.path.dirname(dest), exist_ok=True)
		shutil.copy2(src, dest)

	put(TOOL, "/usr/sbin/ptfree")
	libraries = subprocess.run(["ldd", TOOL], stdout=subprocess.PIPE, text=True, check=True)
	for path in re.findall(r"(/\S+) \(0x", libraries.stdout):
		put(path, path)
	for name in ("filler", "mixer", "screen"):
		put(os.path.join(OUT, name), "/usr/bin/" + name)
	put(os.path.join(OUT, "ranges.so"), "/usr/lib/ranges.so")
	for path in ("/lib/terminfo/v/vt100", "/lib/terminfo/l/linux"):
		put(path, path)
	put(os.path.join(TOP, "tests/tool/guest.sh"), "/usr/lib/guest.sh")
	os.makedirs(os.path.join(stage, "etc"))
	with open(os.path.join(stage, "etc/passwd"), "w") as f:
		f.write("root:x:0:0:root:/root:/bin/sh\n")
	with open(os.path.join(stage, "etc/group"), "w") as f:
		f.write("root:x:0:\ntester:x:1000:\n")
	image = os.path.join(OUT, "tool.cpio")
	command("a root file system for the machine", "scripts/initramfs", image, stage)
	return image


# ---- the machine -------------------------------------------------------------

class Sent(dict):
	"""What the machine did not send fails the check that wants it, no other."""

	def __missing__(self, key):
		return {}


def machine(kernel, file, image, *more):
	"""Run guest.sh; pass its results on, return what it sent."""
	sent, before = Sent(), count
	args = [os.path.join(TOP, "tests/run"), "--kernel", file, "--silence", "60",
		"--timeout", "300", "--vm", f"--initrd {image}", *more,
		f"sh /usr/lib/guest.sh {kernel}"]
	child = subprocess.Popen(args, stdout=subprocess.PIPE, text=True, errors="replace")
	for line in child.stdout:
		line = line.rstrip("\n")
		m = re.match(r"(not )?ok \d+ - (.*)", line)
		if m:
			result(not m[1], f"{kernel}: " + re.sub(r"^sh \S+ \S+: ", "", m[2]))
			continue
		m = re.match(r"# @(\w+) (\w+) ?(.*)", line)
		if m and m[1] == "value":
			sent[m[2]] = int(m[3]) if m[3] else None
		elif m:
			text = base64.b64decode(m[3]).decode("utf-8", "surrogateescape")
			sent[m[2]] = text
			if m[1] == "json":
				p = subprocess.run([sys.executable, "-m", "json.tool"], input=text,
						   text=True, capture_output=True)
				result(not p.returncode, f"{kernel}: {m[2]}: is JSON", p.stderr)
				sent[m[2]] = json.loads(text) if not p.returncode else {}
		elif line.startswith("#"):
			print(line, flush=True)
	code = child.wait()
	# a failure is among the results, if there are any
	if count == before:
		result(False, f"{kernel}: tests/run has results", f"code {code}")
	return sent


def process(survey, pid):
	return next(p for p in survey["processes"] if p["pid"] == pid)


def group(survey, path):
	return next(g for g in survey["cgroups"] if g["cgroup"] == path)


def surveyed(sent):
	s = sent["survey"]
	p, g = process(s, sent["cache_pid"]), group(s, "/shop/cache")
	same(p["tables"], sent["cache_pte"])
	same(p["mapped"], sent["cache_size"])
	same((p["command"], p["cgroup"], p["uid"]), ("filler", "/shop/cache", 0))
	same((g["processes"], g["mapped"]), (1, p["mapped"]))
	assert abs(g["tables"] - p["tables"]) < 32 * TABLE, (g["tables"], p["tables"])
	shop = group(s, "/shop")
	same(shop["processes"], 2)
	same(shop["freeable"], g["freeable"] + group(s, "/shop/web")["freeable"])
	order = [q["tables"] for q in s["processes"]]
	same(order, sorted(order, reverse=True))
	assert 4096 * TABLE <= p["freeable"] <= 4100 * TABLE, p


def known_as(sent, name, cache, web, shop):
	"""How well the figures of both processes, and of the cgroup of both, are known."""
	s, least = sent[name], 0
	for p, word in ((process(s, sent["cache_pid"]), cache), (process(s, sent["web_pid"]), web)):
		same(p["freeable_known"], word)
		assert p["freeable"] > 0, p
		same(p["freeable_min"], p["freeable"] if word == "counted" else 0)
		least += p["freeable_min"]
	g = group(s, "/shop")
	same((g["freeable_known"], g["freeable_min"]), (shop, least))


def how_known(sent):
	known_as(sent, "survey", "estimated", "counted", "estimated")
	known_as(sent, "survey_thorough", "counted", "counted", "counted")
	known_as(sent, "survey_quick", "estimated", "estimated", "estimated")


def topped(sent):
	looks = [json.loads(line) for line in sent["top_processes"].splitlines()]
	same(len(looks), 2)
	for look in looks:
		same(process(look, sent["cache_pid"])["tables"], sent["cache_pte"])
		assert "cgroups" not in look
	(look,) = [json.loads(line) for line in sent["top_groups"].splitlines()]
	names = [g["cgroup"] for g in look["cgroups"]]
	assert names.index("/") < names.index("/shop") < names.index("/shop/cache"), names


def user_surveyed(sent):
	known = {p["uid"]: p["freeable_known"] for p in sent["user_survey"]["processes"]}
	same(known, {0: "at-most", 1000: "counted"})


def exact(before, what, was_freed):
	print(f"# {what}: {before['freeable']} bytes were said to be freeable, {was_freed} were freed")
	same((before["freeable"], before["freeable_min"]), (was_freed, was_freed))
	same(before["freeable_known"], "counted")


def freed(sent):
	p = process(sent["before"], sent["cache_pid"])
	same((p["freeable_known"], p["freeable"]), ("estimated", sent["freed"]))
	exact(process(sent["before_thorough"], sent["cache_pid"]), "cache", sent["freed"])
	p = process(sent["after"], sent["cache_pid"])
	same((p["freeable_known"], p["freeable"]), ("counted", 0))
	exact(process(sent["web_before"], sent["web_pid"]), "web", sent["web_freed"])


def like(sent, name, least, huge=0, swap=0):
	(p,) = sent[name]["processes"]
	exact(p, name, sent[name + "_freed"])
	assert p["freeable"] >= least * TABLE, p
	same(sent[name + "_huge"], huge * 512 * TABLE)
	assert sent[name + "_swap"] >= swap * TABLE, sent[name + "_swap"]


def off(sent, name, stay):
	"""Without smaps, the empty tables that stay are in it, and it does not say counted."""
	(p,), (q,) = sent[name]["processes"], sent[name + "_quick"]["processes"]
	same(q["freeable"], p["freeable"] + stay * TABLE)
	same((q["freeable_known"], q["freeable_min"]), ("estimated", 0))


def watched(sent):
	lines = [json.loads(line) for line in sent["watch"].splitlines()]
	same(len(lines), 1)
	same((lines[0]["cgroup"], lines[0]["event"]), ("/shop/late", "high"))
	same(lines[0]["count"], lines[0]["total"])
	(line,) = [json.loads(line) for line in sent["more"].splitlines()]
	assert 1 <= line["count"] < line["total"], line


LABEL = r'[a-z_]+="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(r'([a-z_]+)(?:\{(' + LABEL + r'(?:,' + LABEL + r')*)\})? (\d+(?:\.\d+)?)')


def metrics_parsed(text):
	"""OpenMetrics, as far as it is used: {(name, labels): value}."""
	assert text.endswith("\n# EOF\n"), "no # EOF at the end"
	family = kind = None
	families, samples = set(), {}
	for line in text[:-1].split("\n")[:-1]:
		words = line.split(" ", 3)
		if words[:2] == ["#", "TYPE"]:
			family, kind = words[2:]
			assert family not in families, f"{family} a second time"
			families.add(family)
			assert kind in ("gauge", "counter"), line
			assert not family.endswith("_total"), line
		elif words[:2] == ["#", "UNIT"]:
			assert words[2] == family and family.endswith("_" + words[3]), line
		elif words[:2] == ["#", "HELP"]:
			assert words[2] == family and words[3], line
		else:
			m = SAMPLE.fullmatch(line)
			assert m, f"not a sample: {line}"
			assert m[1] == family + ("_total" if kind == "counter" else ""), line
			assert (m[1], m[2]) not in samples, f"twice: {line}"
			samples[m[1], m[2]] = float(m[3])
	return samples


def metrics(sent, patched):
	samples = metrics_parsed(sent["metrics"])
	same(samples["ptfree_available", None], float(patched))
	assert samples["ptfree_page_tables_bytes", None] > 0
	assert ("memcg_pt_bytes", 'cgroup="/shop/od\\"d\\\\name"') in samples
	assert samples["memcg_pt_freeable_bytes", 'cgroup="/"'] >= 0
	tables = samples["memcg_pt_bytes", 'cgroup="/shop/cache"']
	if patched:
		same(tables, float(sent["cache_current"]))
		same(samples["memcg_pt_events_total", 'cgroup="/shop/web",event="oom_kill"'], 0.0)
		assert samples["memcg_pt_events_total", 'cgroup="/shop/web",event="high"'] > 0
		assert samples["memcg_pt_freed_tables_total", 'cgroup="/shop/cache"'] > 4000
		same(samples["ptfree_mode", None], 1.0)
	else:
		assert tables >= 4096 * TABLE
		assert not any(name == "memcg_pt_events_total" for name, _ in samples)


def odd_names(sent):
	name = "/shop/a\x1b[31mb\x9bc\ufffd9bd\ufffdef\ufffdbf\ufffdbde"
	(p,) = sent["names"]["processes"]
	(g,) = sent["names"]["cgroups"]
	same((p["pid"], p["cgroup"]), (sent["names_pid"], name))
	same((g["cgroup"], g["processes"], g["mapped"]), (name, 1, p["mapped"]))
	text = sent["odd_metrics"]
	text.encode("utf-8")	# a ValueError where it is not
	assert ("memcg_pt_bytes", f'cgroup="{name}"') in metrics_parsed(text), text


def configured(status, problem):
	units = {u["unit"]: u for u in status["configured"]}
	same(sorted(units), ["boxed.service", "disk.swap", "idle.slice", "plug.socket",
			     "shop.service"])
	shop = units["shop.service"]
	same((shop["limit"], shop["in_force"], shop["problem"]), (64 << 20, False, problem))
	for name in ("idle.slice", "boxed.service"):
		same((units[name]["running"], units[name]["problem"]), (False, None))
	same((units["plug.socket"]["running"], units["plug.socket"]["key"]),
	     (True, "MemoryPageTableMax"))
	assert "does not know" in units["plug.socket"]["problem"]
	assert "services, slices and scopes" in units["disk.swap"]["problem"]


def main():
	os.nice(5)	# as tests/run-debian
	print("TAP version 13", flush=True)
	build()
	if not bad:
		static_checks()
		sanitized()
		image = root_files()
		lean = os.environ.get("KERNEL", "lean")
		sent = machine("ptfree", lean, image)
		check("survey: what /proc and the cgroup's files say", surveyed, sent)
		check("survey says how well it knows what could be freed", how_known, sent)
		check("survey of an ordinary user counts what is his", user_surveyed, sent)
		check("what survey said could be freed is what was freed", freed, sent)
		check("so it is with huge pages of three kinds", like, sent, "odd", 400, 32 + 16 + 16)
		check("with much more reserved than touched", like, sent, "wide", 400)
		check("and with files, swap, zero pages, parts of slots and userfaultfd",
		      like, sent, "mix", 6 * 32, 0, 32)
		# mixer's tables that are empty and registered with userfaultfd
		check("survey --quick takes those of userfaultfd for freeable, as an estimate",
		      off, sent, "mix", 32)
		check("set --json: both limits of both", lambda: same(
			sorted((s["file"], s["after"]) for s in sent["set"]),
			2 * [("memory.pt.high", "max")] + 2 * [("memory.pt.max", "max")]))
		check("set --json: what was set of several", lambda: same(
			[(s["cgroup"], s["after"]) for s in sent["set_partly"]],
			[("/shop/web", 640 << 20)]))
		check("top --json: a line for each look", topped, sent)
		check("reclaim --json", lambda: same(
			[(r["enough"], r["cgroup"]) for r in sent["reclaim"]],
			[(False, "/shop/web")]))
		check("watch --json", watched, sent)
		check("metrics are OpenMetrics, and true", metrics, sent, True)
		check("an odd name is the same name everywhere", odd_names, sent)
		check("status --json", lambda: same(
			(sent["status"]["available"], sent["status"]["vm.freept"]), (True, 1)))
		check("status: configured units", configured, sent["units_ptfree"],
		      "another limit is set")
		sent = machine("off", lean, image, "--append", "freept=off")
		check("status with freept=off: configured units", configured, sent["units_off"],
		      "booted with freept=off")
		sent = machine("stock", os.environ.get("STOCK", "stock"), image)
		check("stock: survey", surveyed, sent)
		check("stock: how well it knows what could be freed", how_known, sent)
		check("stock: metrics", metrics, sent, False)
		check("stock: an odd name is the same name everywhere", odd_names, sent)
		check("stock: configured units", configured, sent["units_stock"],
		      "the kernel cannot")
	print(f"1..{count}", flush=True)
	return 1 if bad else 0


if __name__ == "__main__":
	sys.exit(main())
