# SPDX-License-Identifier: GPL-2.0-only
"""The scene that needs a whole Debian with systemd: a budget in a unit.

It runs on the kernel with ptfree only: the same units without the budget, and
then with it.
"""

import os
import shutil
import subprocess
import textwrap
import time

import lib
import terminal
from lib import BUILD, HERE, TOP, WORK, Budget, Failure, Figures, say, size

PHASES = ("without", "with")
TIMEOUT = 600		# s
IMAGE = os.path.join(BUILD, "image/base.ext4")
MAKE_IMAGE = [os.path.join(TOP, "scripts/image")]


class Result:
	def __init__(self):
		self.samples = []
		self.marks = {}
		self.shown = []


def begin_image():
	"""Make the image beside whatever comes first; prepare() waits for it."""
	return subprocess.Popen(MAKE_IMAGE, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def prepare():
	"""The image, and what is laid over it."""
	done = subprocess.run(MAKE_IMAGE, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
	if done.returncode or subprocess.run(["make", "--silent", "-C", TOP, "tools"],
					     stdin=subprocess.DEVNULL).returncode:
		raise Failure("systemd-unit needs a Debian image and the tools; see above")
	layer = os.path.join(WORK, "unit")
	shutil.rmtree(layer, ignore_errors=True)
	os.makedirs(os.path.join(layer, "demo"))
	for name, source, more in (("sample", "demo/sample.c", []),
				   ("screen", "tests/tool/screen.c", ["-lutil"])):
		lib.must(["gcc", "-O2", "-Wall", "-static", "-o", os.path.join(layer, "demo", name),
			  os.path.join(TOP, source)] + more, f"compiling {source}")
	overlays = (layer, os.path.join(BUILD, "systemd/root"), os.path.join(BUILD, "tools/root"))
	return done.stdout.strip(), [word for path in overlays for word in ("--overlay", path)]


def boot(kernel, scene):
	"""Run the scene; return ({phase: Result}, budget, names of kernel and systemd,
	{name: lines of a terminal})."""
	image, overlays = prepare()
	script = os.path.join(HERE, "scenes", scene.name)
	say("booting Debian with systemd and the ptfree kernel")
	start = time.monotonic()
	results = {p: Result() for p in PHASES}
	budget, names, screens = None, [], {}
	output = lib.machine(
		["--kernel", kernel, "--root", image, "--mem", f"{scene.mem}G"] + overlays +
		["--put", f"{script}:demo/scene", "--", "sh", "/demo/scene"], scene.name, TIMEOUT)
	try:
		for line in output:
			word, _, rest = line.rstrip("\n").partition(",")
			part = rest.split(",")
			if word == "sample":
				results[part[0]].samples.append(Figures(part[1:]))
			elif word == "mark":
				now = results[part[0]].marks[part[1]] = Figures(part[2:])
				say(f"{time.monotonic() - start:4.0f} s  {part[0]:7} the budget, "
				    f"{part[1]:6}  RES {size(now.res):>8}  "
				    f"page tables {size(now.tables):>8}")
			elif word == "show":
				results[part[0]].shown.append(rest.partition(",")[2])
			elif word == "screen":
				screens.setdefault(part[0], []).append(rest.partition(",")[2])
			elif word == "budget":
				budget = Budget(part[1:])
			elif word == "kernel":
				names = part
			elif word == "error":
				raise Failure(f"{scene.name}: {rest}")
			elif line.strip():
				say(line.rstrip())
	except (ValueError, IndexError, KeyError) as e:
		raise Failure(f"{scene.name}: a line makes no sense: '{line.strip()}' ({e})")
	finally:
		output.close()
	if not budget or not all("later" in r.marks for r in results.values()) or \
			sorted(screens) != ["survey", "top"]:
		raise Failure(f"{scene.name}: it ended before its end")
	return results, budget, names, screens


def check(results, budget):
	"""What did not come out as promised."""
	left = {p: results[p].marks["later"].tables for p in PHASES}
	if not budget.over or left["without"] < 2 * budget.limit:
		return "the slice does not need its budget"
	if budget.peak > budget.limit + lib.OVER:
		return f"the slice went over its budget by {budget.peak - budget.limit} kB"
	if left["with"] > budget.limit:
		return f"the slice keeps {left['with']} kB, over its budget of {budget.limit} kB"
	return None


def report(scene, results, budget, names):
	print()
	print(f"{scene.title}: {scene.about}")
	for phase in PHASES:
		marks = results[phase].marks
		print(f"\n{phase} X-MemoryPageTableMax={budget.limit}K: "
		      f"page tables {size(marks['before'].tables)} -> {size(marks['later'].tables)}, "
		      f"memory in use {size(marks['peak'].res)} -> {size(marks['later'].res)}")
		for line in results[phase].shown:
			print("  " + line)
	print(f"\nat most {budget.peak} kB held under the budget, {budget.over} times empty tables "
	      "freed for it; no service was killed or started again, nothing was lost")
	if len(names) == 2:
		print(f"Linux {names[0]}, systemd {names[1]}")


def plot(scene, results, budget):
	"""Page tables of the slice over time, without its budget and with it."""
	data, curves, top, right = [], [], 0, 0
	for phase, style in zip(PHASES, (lib.STOCK, lib.OURS)):
		result = results[phase]
		zero, end = result.marks["before"].ms, result.marks["later"].ms
		points = sorted((f for f in result.samples + list(result.marks.values())
				 if zero <= f.ms <= end), key=lambda f: f.ms)
		block, most = lib.curve(phase, points, zero, data)
		top, right = max(top, most), max(right, (end - zero) / 1000)
		title = f"X-MemoryPageTableMax={budget.limit}K" if phase == "with" else "no budget"
		curves.append(f"{block} using 1:2 with lines {style} title '{title}'")
	curves.append(f"{budget.limit / 1024:.4f} with lines dt 2 lw 1.5 lc rgb '#333333' notitle")
	return lib.draw("unit", 830, 370, "\n".join(data) + f"""
set title "{scene.title}\\n{{/*0.8 {scene.about}}}"
set grid ytics lc rgb '#dddddd' lt 1
set border 3 lc rgb '#666666'
set tics nomirror out textcolor rgb '#333333'
set xlabel 'seconds'
set ylabel 'page tables of redis.slice (MB)'
set key top left reverse Left samplen 2
set xrange [0:{right:.1f}]
set yrange [0:{top * 1.3:.4f}]
plot """ + ", \\\n  ".join(curves) + "\n")


def rows(scene, results, budget):
	"""What README.md says."""
	left = {p: size(results[p].marks["later"].tables) for p in PHASES}
	about = scene.about[0].upper() + scene.about[1:]
	text = (f"{about}, in units of Debian's own: without that line {left['without']} of "
		f"page tables are left, with {budget.limit}K in it {left['with']}. No service is "
		"killed, none loses data.")
	return textwrap.wrap(text, 80, break_on_hyphens=False)


def show_screens(budget, screens):
	"""What an operator saw: survey before the budget, top with it."""
	pictures = []
	for name, when in (("survey", "without the budget, all memory given back"),
			   ("top", f"with X-MemoryPageTableMax={budget.limit}K, live")):
		print(f"\n{when}:")
		command, text, styles = terminal.parse(screens[name])
		print("\n".join("  " + line for line in [command] + text))
		pictures.append(os.path.join(WORK, name + ".svg"))
		with open(pictures[-1], "w") as f:
			f.write(terminal.svg(command, text, styles))
	return pictures


def run(kernel, scene):
	"""The whole scene; return the README's lines and the pictures."""
	results, budget, names, screens = boot(kernel, scene)
	report(scene, results, budget, names)
	pictures = [plot(scene, results, budget)] + show_screens(budget, screens)
	bad = check(results, budget)
	if bad:
		raise Failure(f"{scene.name}: {bad}")
	return rows(scene, results, budget), pictures
