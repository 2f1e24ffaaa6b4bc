# SPDX-License-Identifier: GPL-2.0-only
"""What the parts of the demo have in common."""

import os
import subprocess
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(HERE)
BUILD = os.path.abspath(os.environ.get("BUILD") or os.path.join(TOP, "build"))
WORK = os.path.join(BUILD, "demo")
OVER = 256		# kB that one task may go over memory.pt.max
GUARD = threading.Lock()
running = set()		# machines, under GUARD
stopped = False		# no more of them, under GUARD
STOCK = "lc rgb '#b2182b' lw 2"
OURS = "lc rgb '#2166ac' lw 2"


class Failure(Exception):
	"""str() is the one line to print."""


class Figures:
	"""VIRT, RES and page tables of what is watched at one moment, kB."""

	def __init__(self, words):
		self.ms, self.virt, self.res, self.tables = map(int, words)


class Budget:
	"""memory.pt.max and memory.pt.peak, kB; how often there was a need to reclaim."""

	def __init__(self, words):
		self.limit, self.peak, self.over = map(int, words)


def say(text):
	# in one piece: there can be two machines that have something to say
	sys.stdout.write(f"demo: {text}\n")
	sys.stdout.flush()


def must(cmd, what):
	done = subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
			      stdin=subprocess.DEVNULL, text=True)
	if done.returncode:
		lines = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
		bad = [l for l in lines if "error" in l.lower()] or lines
		raise Failure(f"{what} failed: {bad[0]}")


def size(kb):
	if kb >= 1000 * 1024:
		return f"{kb / 1048576:.1f} GB"
	if kb >= 100 * 1024:
		return f"{kb / 1024:.0f} MB"
	if kb >= 1000:
		return f"{kb / 1024:.1f} MB"
	return f"{kb} kB"


def available():
	"""Memory that is left on this host, kB."""
	with open("/proc/meminfo") as f:
		return next(int(l.split()[1]) for l in f if l.startswith("MemAvailable:"))


def machine(words, name, timeout):
	"""Run scripts/vm with these words; its lines of output, as they come."""
	log = os.path.join(BUILD, "log", f"demo-{name}.log")
	with GUARD:
		if stopped:
			raise Failure(f"{name} was not begun")
		vm = subprocess.Popen(
			[os.path.join(TOP, "scripts/vm"), "--timeout", str(timeout), "--log", log] + words,
			stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace")
		running.add(vm)
	try:
		yield from vm.stdout
		code = vm.wait()
	finally:
		if vm.poll() is None:
			vm.terminate()
			vm.wait()
		with GUARD:
			running.discard(vm)
	if code:
		raise Failure(f"the run of {name} ended with code {code}; the console is in {log}")


def stop_machines():
	"""End what other threads run: what one of them came to is the end of all."""
	global stopped
	with GUARD:
		stopped = True
		for vm in running:
			vm.terminate()


def curve(name, points, zero, data):
	"""Page tables (MB) over time (s) as a gnuplot data block; what lies between two
	equal figures adds nothing to a picture."""
	points = [b for a, b, c in zip([None] + points, points, points[1:] + [None])
		  if not (a and c and a.tables == b.tables == c.tables)]
	block = "$" + name.replace("-", "_")
	data.append(f"{block} << EOD")
	data += [f"{(f.ms - zero) / 1000:.3f} {f.tables / 1024:.4f}" for f in points]
	data.append("EOD")
	return block, max(f.tables / 1024 for f in points)


def draw(name, width, height, body):
	"""Let gnuplot make build/demo/NAME.svg; return its path."""
	script = os.path.join(WORK, name + ".gnuplot")
	picture = os.path.join(WORK, name + ".svg")
	with open(script, "w") as f:
		f.write(f"set encoding utf8\nset terminal svg size {width},{height} dynamic "
			"font 'sans-serif,13' background '#ffffff' enhanced\n"
			f"set output '{picture}.tmp'\n" + body)
	must(["gnuplot", script], "drawing the picture")
	os.rename(picture + ".tmp", picture)
	return picture
