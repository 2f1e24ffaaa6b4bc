# SPDX-License-Identifier: GPL-2.0-only
"""Part engine: what looking at tables, unlinking and freeing them takes."""

import os

from machine import compile_guest

LEFT = {
	"left/whole": "after MADV_DONTNEED, 2 MiB a call",
	"left/pieces": "after MADV_DONTNEED, 64 KiB a call",
	"left/truncate": "after truncation of the file",
	"left/request": "after an explicit request",
}
LOOKS = {
	"look/first-entry": "in use, the first entry",
	"look/last-entry": "in use, the last of 512 entries",
	"look/empty": "empty, first look of the background",
	"look/hole-gib": "a GiB that was never touched",
}
BATCHES = ("1", "64", "511")
HALF = 0.5		# of what munmap takes for an empty table
RESCAN = 1000		# instructions a GiB where nothing was unmapped
SCAN, FREE = 4096, 512	# of one hold of the mmap lock
LAP = 64		# GiB
MILLION = 2048		# GiB


class Engine:
	title = "The engine"
	seeds = (1, 2)
	agree = 1.0
	about = """Instructions a table, in the cgroup of the process, from explicit requests
(`MADV_PT_RECLAIM`) and, where said, from the background."""

	def run(self, runs):
		program = compile_guest("engine")
		for what in ("left", "look", "free", f"rescan={LAP}"):
			runs.count("engine", self.seeds, self.agree, ["/tests/engine", what],
				   put=[program], kinds=["ptfree"])
		runs.count("engine", self.seeds[:1], self.agree, ["/tests/engine", "left"],
			   put=[program], kinds=runs.others())

	def report(self, runs, out):
		get = lambda name: runs.get("ptfree", name)
		out.line("Tables that are left of 64, with `vm.freept=0`:\n")
		out.kinds("")
		for name, text in LEFT.items():
			out.values(text, lambda get, name=name: get(name), head=False)
		out.line("\nLooking, which no other kernel does:\n")
		out.line("| a look at | instructions |")
		out.line("|---|--:|")
		for name, text in LOOKS.items():
			out.line(f"| {text} | {get(name):,.0f} |")
		out.line("\nFinding a table empty, unlinking and freeing it. \"In the call\" is what "
			 "the request takes more than one that finds all in use; \"after\" is RCU, its "
			 "callbacks and the freeing. For comparison: munmap of an empty table, a mean "
			 f"of 64, on the stock kernel (part hot; target: at most {HALF:.0%} of it).\n")
		out.line("| tables at once | in the call | after | all | of munmap | may be |  |")
		out.line("|--:|--:|--:|--:|--:|--:|---|")
		munmap = out.other("hot", "stock", "1-none/munmap-empty")
		for n in BATCHES:
			call, after = get(f"free/{n}/call"), get(f"free/{n}/after")
			share = (call + after) / munmap if munmap else None
			judged = n == BATCHES[-1] and share is not None
			out.line(f"| {n} | {call:,.0f} | {after:,.0f} | {call + after:,.0f} | "
				 f"{f'{share:.0%}' if share else 'not measured'} | "
				 f"{f'{HALF:.0%}' if judged else ''} | "
				 f"{out.verdict(judged and share > HALF)} |")
		if munmap:
			out.line(f"| munmap |  |  | {munmap:,.0f} | 100% |  |  |")
		out.line(f"\nIn the background, batches of 512: {get('free/background'):,.0f} in the "
			 "hold, looks included.\n")
		out.line("Longest stop of a busy program by what follows a request (softirqs, "
			 "callbacks): " + ", ".join(f"{get(f'free/{n}/stop'):,.0f} instructions for {n}"
			 for n in BATCHES) + " tables.\n")
		out.line("The longest hold of the mmap lock for reading, background, 8192 empties:\n")
		out.line("| | | may be |  |")
		out.line("|---|--:|--:|---|")
		for name, text, may in (("hold/scanned", "tables looked at", SCAN),
					("hold/freed", "tables unlinked", FREE)):
			# the last PMD table is looked at as a whole
			over = get(name) > may + (FREE if may == SCAN else 0)
			out.line(f"| {text} | {get(name):,.0f} | {may:,} | {out.verdict(over)} |")
		out.line(f"| instructions | {get('hold/ns'):,.0f} | | |")
		report_laps(runs, out, LAP)


def report_laps(runs, out, gib):
	"""What a lap takes in which nothing, or little, was unmapped since the last one."""
	get = lambda name: runs.get("ptfree", name)
	out.line(f"\nA lap through {gib:,} GiB with {gib * 512:,} tables in use, for each GiB:\n")
	out.line("| | instructions | looks | may be |  |")
	out.line("|---|--:|--:|--:|---|")
	out.line(f"| the first, which looks at all | {get('rescan/first-lap'):,.0f} "
		 f"| 512 a GiB | | |")
	out.line(f"| nothing was unmapped | {get('rescan/nothing'):,.0f} "
		 f"| {get('rescan/nothing-looks'):,.0f} | {RESCAN:,} "
		 f"| {out.verdict(get('rescan/nothing') > RESCAN)} |")
	out.line(f"| one page of one table was unmapped | {get('rescan/one-table'):,.0f} "
		 f"| {get('rescan/one-table-looks'):,.0f} | {RESCAN:,} "
		 f"| {out.verdict(get('rescan/one-table') > RESCAN)} |")
	out.line(f"| one page of one table in each GiB | {get('rescan/each-gib'):,.0f} "
		 f"| {get('rescan/each-gib-looks'):,.0f} | | |")
	out.line(f"\nThe first lap took {get('rescan/first-lap-ms') / 1000:,.1f} s of the guest's "
		 "time, of which the program slept nearly all.")
	marked, lap = get("rescan/each-gib"), get("rescan/one-table") * gib
	out.line("\nA look here is a table, or a GiB that is passed. By these figures a GiB "
		 f"that has no mark is passed in {(lap - marked) / (gib - 1):,.0f} instructions.")


class Scale:
	title = "Many tables"
	seeds = (1,)
	agree = 0.1
	about = """A mapping with an empty table for each 2 MiB, and one request that frees
all of them: `echo max > memory.pt_reclaim`. For comparison a stock kernel, which has
munmap. The gigabytes are set with `BENCH_GIB`; the guest's memory follows."""

	def run(self, runs):
		program = compile_guest("engine")
		gib = int(os.environ.get("BENCH_GIB") or MILLION)
		for what in (str(gib), f"rescan={gib}"):
			runs.count("scale", self.seeds, self.agree, ["/tests/engine", what],
				   put=[program], mem=f"{1536 + gib * 5 // 2}M",
				   kinds=None if what == str(gib) else ["ptfree"])

	def report(self, runs, out):
		get = lambda name: runs.get("ptfree", name)
		tables = get("scale/tables")
		callbacks = 1 / 64
		out.line("| | |\n|---|--:|")
		for text, value in (
				("tables", f"{tables:,.0f}"),
				("memory that they take", f"{get('scale/kb') / 1048576:.2f} GiB"),
				("the request, a table; it waits until all is returned", f"{get('scale/request'):,.0f}"),
				("what is left to be done after it, a table", f"{get('scale/after'):,.0f}"),
				("from the first look until all is returned, of the guest's time",
				 f"{get('scale/ms'):,.0f} ms"),
				("munmap instead, stock kernel, a table",
				 f"{runs.get('stock', 'scale/munmap') or 0:,.0f}"),
				("TLB flushes, a GiB of tables",
				 f"{get('scale/flushes') * 262144 / tables:,.0f}"),
				("RCU callbacks, a table", f"1/{1 / callbacks:.0f}, by construction"),
				("longest stop of a busy program in the time after the request "
				 "(softirqs, callbacks), instructions", f"{get('scale/stop'):,.0f}"),
				("longest hold of the mmap lock: looked at, unlinked",
				 f"{get('scale/hold-scanned'):,.0f}, {get('scale/hold-freed'):,.0f}"),
				("longest hold, instructions", f"{get('scale/hold-ns'):,.0f}"),
				("page tables left", f"{get('scale/left-kb'):,.0f} kB")):
			out.line(f"| {text} | {value} |")
		report_laps(runs, out, round(tables / 512))
