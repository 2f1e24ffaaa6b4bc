# SPDX-License-Identifier: GPL-2.0-only
"""The pictures of the report, drawn by gnuplot."""

import os
import subprocess

from back import PERIODS
from hot import WORKS
from machine import Failure

STOCK, OURS, OTHER = "lc rgb '#b2182b'", "lc rgb '#2166ac'", "lc rgb '#999999'"


def gnuplot(path, size, body):
	script = (f"set encoding utf8\nset terminal svg size {size} dynamic font 'sans-serif,13' "
		  f"background '#ffffff' noenhanced\nset output '{path}.tmp'\n{body}\n")
	done = subprocess.run(["gnuplot"], input=script, text=True, stderr=subprocess.PIPE)
	if done.returncode:
		raise Failure("gnuplot: " + (done.stderr.strip().splitlines() or ["failed"])[-1])
	os.rename(path + ".tmp", path)


def block(name, rows):
	return f"${name} << EOD\n" + "\n".join(rows) + "\nEOD\n"


def hot(runs, path):
	"""Per cent more than stock, where nothing is in use."""
	rows = []
	for work in WORKS:
		if work == "fork-empties":	# far below
			continue
		more = [(runs.get("ptfree", f"{d}-none/{work}") / runs.get("stock", f"{d}-none/{work}")
			 - 1) * 100 for d in "014"]
		rows.append(f'"{work}" ' + " ".join(f"{m:.4f}" for m in more))
	gnuplot(path, "900,420", block("hot", rows) + f"""
set style data histogram
set style histogram clustered gap 1
set style fill solid
set ylabel 'per cent over stock'
set xtics rotate by -40
set grid y
set key outside top center horizontal
plot $hot using 2:xtic(1) {OTHER} title 'root', '' using 3 {OURS} title '1 level', \\
	'' using 4 lc rgb '#92c5de' title '4 levels', 0.5 {STOCK} dt 2 title 'target: 0.5; 1 and 1.5 for tables'""")
	return "Hot paths, per cent of instructions more than on a stock kernel"


def table(runs, munmap, path):
	"""A table: looking at it, and getting rid of it."""
	get = lambda name: runs.get("ptfree", name)
	rows = [f'"look: in use" {get("look/first-entry"):.0f} 0',
		f'"look: last entry" {get("look/last-entry"):.0f} 0',
		f'"free: 511 at once" {get("free/511/call"):.0f} {get("free/511/after"):.0f}',
		f'"free: 64 at once" {get("free/64/call"):.0f} {get("free/64/after"):.0f}']
	if munmap:
		rows.append(f'"munmap, stock" {munmap:.0f} 0')
	gnuplot(path, "860,380", block("table", rows) + f"""
set style data histogram
set style histogram rowstacked
set style fill solid
set boxwidth 0.6
set yrange [0:]
set offsets 0, 0, graph 0.05, 0
set ylabel 'instructions'
set grid y
set key top left
plot $table using 2:xtic(1) {OURS} title 'at once', '' using 3 {OTHER} title 'after a grace period'""")
	return "Instructions for an empty table"


def loops(runs, path):
	rows = [f"{ms} {(runs.get('ptfree', f'loop/{ms}/own') / runs.get('stock', f'loop/{ms}/own') - 1) * 100:.4f}"
		for ms in PERIODS]
	gnuplot(path, "700,380", block("loops", rows) + f"""
set logscale x
set xlabel 'period, ms'
set ylabel 'per cent over stock'
set yrange [*<0:2.5<*]
set grid
plot $loops using 1:2 with linespoints {OURS} lw 2 pt 7 title 'filled and given back again and again', \\
	2 {STOCK} dt 2 title 'target'""")
	return "Instructions of a program that fills and gives back 64 tables, by its period"


def draw(measured, out):
	"""[(file, title)] of what was measured."""
	made = []
	if "hot" in measured:
		made.append(("hot.svg", hot(measured["hot"], os.path.join(out, "hot.svg"))))
	if "engine" in measured:
		munmap = measured["hot"].get("stock", "1-none/munmap-empty") if "hot" in measured else None
		made.append(("table.svg", table(measured["engine"], munmap,
						os.path.join(out, "table.svg"))))
	if "back" in measured:
		made.append(("loops.svg", loops(measured["back"], os.path.join(out, "loops.svg"))))
	return made
