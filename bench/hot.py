# SPDX-License-Identifier: GPL-2.0-only
"""Parts hot and held: what everybody pays, and who is over a budget."""

from machine import compile_guest

# What is measured, and per cent over stock that it may be where no cgroup has a
# budget: in the root cgroup, one level deep, four levels deep. What makes or frees
# a table for each unit has to count it. Of mremap nothing was promised, nor of a small
# fork in a cgroup, of which counting tables is a good part.
WORKS = {
	"fault-page": ("page fault, dense; mean of 512", (0.5, 0.5, 0.5)),
	"fault-table": ("page fault that makes a table", (0.5, 1.0, 1.5)),
	"fault-again": ("page fault in an empty table", (0.5, 0.5, 0.5)),
	"madvise-page": ("MADV_DONTNEED of a full table; a page", (0.5, 0.5, 0.5)),
	"madvise-piece": ("MADV_DONTNEED of 64 KiB", (0.5, 0.5, 0.5)),
	"madvise-table": ("MADV_DONTNEED of a table with one page", (0.5, 0.5, 0.5)),
	"munmap-page": ("munmap of a full table; a page", (0.5, 0.5, 0.5)),
	"munmap-table": ("munmap of a table with one page", (0.5, 1.0, 1.5)),
	"munmap-empty": ("munmap of an empty table", (0.5, 1.0, 1.5)),
	"mremap-table": ("mremap, a table that is moved as a whole", (None,) * 3),
	"mremap-page": ("mremap, an entry", (None,) * 3),
	"file-fault": ("read fault in the page cache, 16 pages", (0.5, 1.0, 1.5)),
	"file-munmap": ("munmap of page cache; a page", (0.5, 0.5, 0.5)),
	"fork-small": ("fork, exit and wait, small", (0.5, None, None)),
	"fork-populated": ("fork, exit and wait, 256 MiB", (0.5, 0.5, 0.5)),
	"fork-empties": ("fork, exit and wait, 128 empty tables", (0.5, 0.5, 0.5)),
	"exec": ("vfork, exec, exit and wait", (0.5, 0.5, 0.5)),
}
DEPTHS = {"0": "root", "1": "1 level", "4": "4 levels"}
EMPTIES = 128
FORK = 1200		# instructions that an empty table may add to a fork

HELDS = {
	"dense-grow": "256 MiB dense; maps, fills and unmaps 64 MiB",
	"dense-purge": "256 MiB dense; MADV_DONTNEED and touch of 64 KiB pieces",
	"dense-fork": "256 MiB dense; forks",
	"last-entry-grow": "2048 tables with the last entry; as the first",
	"last-entry-sparse": "2048 tables with the last entry; maps, touches, unmaps 64",
}
HELD = 2.0		# per cent more over a budget with nothing to free


class Hot:
	title = "Hot paths"
	about = """What everybody pays for the feature being there, unused: `vm.freept=0`, no
budget on the machine. Below that, not promised and for who wants to know: with
`memory.pt.max=10G` on the innermost cgroup (for the root, which has none, on another
one); there, two runs may differ by five times as much. Instructions a unit; the lower quartile of many rounds, which is that of a round
without a timer tick."""
	seeds = (1, 2)
	agree = 0.1

	def run(self, runs):
		program = compile_guest("hot")
		for what in ("paths", "mremap"):
			runs.count("hot", self.seeds, self.agree, ["/tests/hot", what], put=[program])

	def report(self, runs, out):
		for budget in ("none", "budget"):
			if budget == "budget":
				out.line("\nWith a budget:\n")
			out.head("what", "cgroup")
			for work, (text, may) in WORKS.items():
				for limit, (depth, where) in zip(may, DEPTHS.items()):
					name = f"{depth}-{budget}/{work}"
					out.row([text, where], name,
						base=f"{depth}-none/{work}",
						limit=limit if budget == "none" else None)
		out.line(f"\nFork with {EMPTIES} empty tables against fork without them:\n")
		out.values("an empty table more", lambda get: per_empty(get), may=FORK)
		out.line("\nThe way back, one level deep: a page fault that has to make its table again, "
			 "against one that finds it empty:\n")
		out.values("a table that was freed too early",
			   lambda get: rebuild(get))


def per_empty(get):
	some, none = get("0-none/fork-empties"), get("0-none/fork-small")
	return None if some is None else (some - none) / EMPTIES


def rebuild(get):
	made, found = get("1-none/fault-table"), get("1-none/fault-again")
	return None if made is None or found is None else made - found


class Held:
	title = "Over a budget, nothing to free"
	about = """Programs that hold tables over `memory.pt.high` of which none can be
freed: dense ones that grow, purge or fork, and two with a single page at the end of each
table, where every look has to read the whole table. All that the machine does counts,
for a second, against the same program without a limit before and after."""
	# When an attempt falls due is a matter of luck: each run stands for itself.
	seeds = (1,)
	agree = 0.1

	def run(self, runs):
		program = compile_guest("held")
		for name in HELDS:
			runs.count("held", self.seeds, self.agree, ["/tests/held", name],
				   put=[program], kinds=["ptfree"])

	def report(self, runs, out):
		out.line("| | without | over | more | may be | attempts | freed |  |")
		out.line("|---|--:|--:|--:|--:|--:|--:|---|")
		for name, text in HELDS.items():
			get = lambda what: runs.get("ptfree", f"{name}/{what}")
			without = (get("before") + get("after")) / 2
			more = (get("over") / without - 1) * 100
			out.line(f"| {text} | {without:,.0f} | {get('over'):,.0f} | {more:+.2f} % "
				 f"| {HELD} % | {get('attempts'):.0f} | {get('freed'):.0f} "
				 f"| {out.verdict(more > HELD)} |")
