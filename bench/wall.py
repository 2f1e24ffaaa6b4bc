# SPDX-License-Identifier: GPL-2.0-only
"""Part wall: several processors, by the clock."""

import statistics

from machine import Runs, compile_guest, digest, machine, say

TURNS = 3
WORKS = {
	"fault": "two threads fault and purge, each its own tables",
	"shared": "two threads fault and purge, the same tables",
}
MODES = {
	"off": "`vm.freept=0`",
	"on": "`vm.freept=2`",
	"request": "and another thread that frees what is empty, each ms",
}


class Wall:
	title = "Two processors, by the clock"
	about = f"""Noisy: emulated processors on a host that does other things, too. Pages in a
second, medians of the slots of a machine, then of {TURNS} machines of each kernel that ran in
turns; of the ratios between machines that ran one after the other the least and the
greatest. They show a lock that everybody waits for, or a storm of interrupts, and nothing
finer than that: there is no target."""

	def run(self, runs):
		program = compile_guest("wall")
		runs.turns = {kind: [] for kind in runs.kernels}
		# A turn is compared with those beside it, and with no older one.
		beside = sorted(digest(kernel) for kernel in runs.kernels.values())
		for turn in range(TURNS):
			for kind, kernel in runs.kernels.items():
				say(f"wall: {kind} kernel, turn {turn + 1} of {TURNS}")
				runs.turns[kind].append(machine(kernel, ["/tests/wall", "off=0", "on=2",
					"request=request"], put=[program], again=[turn, beside]))

	def report(self, runs: Runs, out):
		turns = {kind: [r["figures"] for r in results] for kind, results in runs.turns.items()}
		out.line("| | kernel | | pages | to stock | from | to | IPIs for TLBs, 1000 pages |")
		out.line("|---|---|---|--:|--:|--:|--:|--:|")
		for work, text in WORKS.items():
			base = [r[f"off/{work}"] for r in turns["stock"]]
			for kind in runs.kernels:
				for mode, what in MODES.items():
					values = [r.get(f"{mode}/{work}") for r in turns[kind]]
					if None in values:
						if kind != "stock" and mode != "off":
							out.line(f"| {text} | {kind} | {what} | cannot | | | | |")
						continue
					ratios = [v / b for v, b in zip(values, base) if b] or [0]
					ipis = statistics.median(r[f"{mode}/{work}-ipis"] for r in turns[kind])
					shown = "" if kind == "stock" else what
					out.line(f"| {text} | {kind} | {shown} | {statistics.median(values):,.0f} "
						 f"| {statistics.median(values) / (statistics.median(base) or 1):.2f} "
						 f"| {min(ratios):.2f} | {max(ratios):.2f} | {ipis:,.0f} |")
		out.line("\nIPIs for TLBs, for each GiB of address space whose empty tables are freed "
			 "while another thread of the process runs:\n")
		out.line("| | " + " | ".join(runs.kernels) + " |")
		out.line("|---|" + "--:|" * len(runs.kernels))
		for what, text in (("munmap", "by munmap"), ("request", "by `MADV_PT_RECLAIM`")):
			cells = []
			for kind in runs.kernels:
				values = [r.get(f"ipis/{what}") for r in turns[kind]]
				cells.append("cannot" if None in values else f"{statistics.median(values):,.1f}")
			out.line(f"| {text} | " + " | ".join(cells) + " |")
