# SPDX-License-Identifier: GPL-2.0-only
"""Part profile: which functions of the kernel the instructions go to."""

from machine import compile_guest

WORKS = {
	"free": "a request that frees 511 empty tables, and RCU after it",
	"munmap": "munmap of 511 empty tables, for comparison",
	"fault": "page faults that make a table and map the zero page",
	"fork": "fork, exit and wait with 128 empty tables",
}


class Profile:
	title = "Where the instructions go"
	about = """Shares of the kernel's functions, in per cent, from a clock that notes each
20,000 instructions where it finds the kernel. What runs with interrupts off shows where
they are let in again; functions that the compiler has put into others show as these."""
	seeds = (1,)
	agree = 0.1

	def run(self, runs):
		program = compile_guest("profile")
		runs.count("profile", self.seeds, self.agree, ["/tests/profile", *WORKS],
			   put=[program])

	def report(self, runs, out):
		for work, text in WORKS.items():
			out.line(f"\n{text[0].upper()}{text[1:]}:\n")
			prefix = f"profile/{work}/"
			columns = []
			for kind in runs.kernels:
				found = [(value, name[len(prefix):]) for name, value in runs.all[kind].items()
					 if name.startswith(prefix)]
				columns.append(sorted(found, key=lambda f: (-f[0], f[1])))
			out.line("| " + " | ".join(runs.kernels) + " |")
			out.line("|" + "---|" * len(columns))
			for row in range(max(len(c) for c in columns)):
				cells = [f"{c[row][0]:.1f} `{c[row][1]}`" if row < len(c) else "" for c in columns]
				out.line("| " + " | ".join(cells) + " |")
