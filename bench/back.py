# SPDX-License-Identifier: GPL-2.0-only
"""Part back: what the background does to programs."""

from machine import compile_guest

PERIODS = (10, 30, 100, 300, 1000, 3000, 10000)
LOOP = 2.0		# per cent that a loop may take more than on a stock kernel
CPU = 3.0		# per cent of a CPU that looking may take
RSS = 5.0		# per cent more resident memory
IDLE = "4096"
THP = ("never", "madvise", "always")


class Back:
	title = "In the background"
	about = """`vm.freept=2` and the default delays."""
	seeds = (1,)
	agree = 0.1

	def run(self, runs):
		program = compile_guest("back")
		for args in (["10", "30"], [str(ms) for ms in PERIODS[2:]],
			     ["idle", *THP], [f"budget-{thp}" for thp in THP]):
			runs.count("back", self.seeds, self.agree, ["/tests/back", *args],
				   put=[program])

	def report(self, runs, out):
		ours, stock = (lambda name, kind=kind: runs.get(kind, name)
			       for kind in ("ptfree", "stock"))
		out.line("A program that fills 64 tables and gives them back, again and again. Its own "
			 "instructions a round, from the first round for short periods (while the "
			 "pacing learns) and after the first 36 for the others:\n")
		out.line("| each | rounds | stock | ptfree | more | may be | kfreept, of a CPU | "
			 "may be | freed | came back |  |")
		out.line("|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|")
		for ms in PERIODS:
			own, base = ours(f"loop/{ms}/own"), stock(f"loop/{ms}/own")
			more = (own / base - 1) * 100
			share = ours(f"loop/{ms}/thread") / 1e7		# instructions in a second
			out.line(f"| {ms:,} ms | {ours(f'loop/{ms}/rounds'):,.0f} | {base:,.0f} | {own:,.0f} "
				 f"| {more:+.2f} % | {LOOP} % | {share:.4f} % | {CPU} % "
				 f"| {ours(f'loop/{ms}/freed'):,.0f} | {ours(f'loop/{ms}/refaults'):,.0f} "
				 f"| {out.verdict(more > LOOP or share > CPU)} |")
		scanned = ours(f"idle/{IDLE}/scanned")
		out.line(f"\nA program with {int(IDLE):,} tables in use that gives nothing back, and "
			 "burns CPU for a second:\n")
		out.line("| tables looked at | may be | stock | ptfree |  |\n|--:|--:|--:|--:|---|")
		out.line(f"| {scanned:,.0f} | 0 | {stock(f'idle/{IDLE}/own'):,.0f} | "
			 f"{ours(f'idle/{IDLE}/own'):,.0f} | {out.verdict(scanned > 0)} |")
		out.line("\nResident memory, kB, when 256 MiB were given back in pieces of 64 KiB, and "
			 "a page in each 2 MiB touched after that; and with `vm.freept=1` under "
			 "`memory.pt.max=1M`, which the program hits in between:\n")
		out.line("| huge pages | | stock | ptfree | more | may be |  |")
		out.line("|---|---|--:|--:|--:|--:|---|")
		for name in (*THP, *(f"budget-{thp}" for thp in THP)):
			for key, what in (("before", "given back"), ("after", "touched sparsely"),
					  ("later", "a minute later")):
				base, value = stock(f"rss/{name}/{key}"), ours(f"rss/{name}/{key}")
				more = (value / base - 1) * 100
				text = name.replace("budget-", "`memory.pt.max`, ")
				out.line(f"| {text} | {what} | {base:,.0f} | {value:,.0f} | {more:+.1f} % "
					 f"| {RSS} % | {out.verdict(more > RSS)} |")
