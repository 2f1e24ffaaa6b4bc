#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# covers: mm include patches/linux-6.12 configs/lean.config configs/arm64.config tests/arch tests/*.c tests/*.h :!tests/torture* :!tests/hostile.c :!tests/bomb.c
# needs: build vm arch
"""Other architectures, and another compiler.

arm64, which has the feature: a kernel is cross-built and booted in QEMU, runs the
engine's KUnit tests and the functional tests. i386 (PAE, page tables in high memory),
riscv, s390, powerpc, arm (ARMv5, whose caches have aliases) and sparc64, which do not
have it: what the series touches compiles without a warning, and nothing of the feature
is in it. Where an architecture has a pte_free_defer() of its own, it is there without
huge pages as well. clang, a part of its own for its time: it compiles a kernel for
x86_64, on which the KUnit tests and some of the others pass.

	ARCHS="arm64 i386 ..."	only those; "clang" is one of them
"""

import importlib.machinery
import importlib.util
import os
import re
import select
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("BUILD") or os.path.join(TOP, "build"))
ARCHS = (os.environ.get("ARCHS") or "arm64 i386 riscv s390 powerpc arm sparc64").split()
# The functional tests of tests/20 to 51, but for those about the cost (43) and short memory (44)
PROGRAMS = """empty shapes keep sysctls sleepers counters switches ptreclaim whowins forkskip trace
	cgfiles cgevents cgcount cgcrowd cgreclaim cgbusy cgoom cgputoff cgspare cglower cgbudget
	cgmode1 cgfork cgpopulate uffd vanish""".split()
SILENCE, TIMEOUT = 240, 2400
# What the KUnit tests miss on arm64: DAX, and CPUs that a flush would pass over
SKIPPED = ("fk_dax", "fk_flush_lazy")

loader = importlib.machinery.SourceFileLoader("vm", os.path.join(TOP, "scripts/vm"))
vm = importlib.util.module_from_spec(importlib.util.spec_from_loader("vm", loader))
loader.exec_module(vm)

# What the patches change, and those who use the headers that they change most
TOUCHED = """mm/memory.o mm/mremap.o mm/filemap.o mm/pgtable-generic.o mm/page_vma_mapped.o
	mm/vmscan.o mm/vmstat.o mm/madvise.o mm/mmap.o mm/rmap.o mm/gup.o mm/mlock.o
	mm/oom_kill.o mm/memcontrol.o kernel/cgroup/cgroup.o kernel/fork.o kernel/exit.o
	kernel/sys.o kernel/sched/core.o fs/proc/task_mmu.o mm/userfaultfd.o fs/userfaultfd.o"""
# defer: the file in which the architecture has a pte_free_defer(). holds: an object in
# which nm finds something, if what the series changes there was compiled at all.
OTHERS = {
	"i386": dict(more="mm/khugepaged.o mm/huge_memory.o arch/x86/mm/ ",
		     extra="# CONFIG_64BIT is not set\nCONFIG_X86_32=y\nCONFIG_HIGHMEM64G=y\n"
			   "CONFIG_X86_PAE=y\nCONFIG_HIGHPTE=y",
		     has=("CONFIG_X86_PAE=y", "CONFIG_HIGHPTE=y")),
	"riscv": dict(more="mm/khugepaged.o mm/huge_memory.o arch/riscv/mm/", cross="riscv64-linux-gnu-",
		      extra="CONFIG_MMU=y\nCONFIG_ARCH_RV64I=y", has=("CONFIG_64BIT=y",)),
	"s390": dict(more="mm/khugepaged.o mm/huge_memory.o arch/s390/mm/", cross="s390x-linux-gnu-",
		     extra="", has=("CONFIG_64BIT=y",), defer="arch/s390/mm/pgalloc.o"),
	"powerpc": dict(more="mm/khugepaged.o mm/huge_memory.o arch/powerpc/mm/", cross="powerpc64le-linux-gnu-",
			extra="CONFIG_PPC64=y\nCONFIG_PPC_BOOK3S_64=y\nCONFIG_CPU_LITTLE_ENDIAN=y\n"
			      "CONFIG_PPC_RADIX_MMU=y\nCONFIG_DEBUG_KERNEL=y\nCONFIG_DEBUG_VM=y",
			has=("CONFIG_PPC_BOOK3S_64=y",), defer="arch/powerpc/mm/pgtable-frag.o",
			holds=("arch/powerpc/mm/pgtable.o", "T assert_pte_locked")),
	# From ARMv6 on there is no adjust_pte(). A machine is not needed for this.
	"arm": dict(more="arch/arm/mm/fault-armv.o", cross="arm-linux-gnueabihf-",
		    extra="CONFIG_MMU=y\nCONFIG_ARCH_MULTIPLATFORM=y\nCONFIG_ARCH_MULTI_V5=y\n"
			  "CONFIG_AEABI=y\n# CONFIG_SMP is not set",
		    has=("CONFIG_CPU_32v5=y", "CONFIG_AEABI=y"),
		    holds=("arch/arm/mm/fault-armv.o", "U pte_offset_map_nolock")),
	# Its clone3() is missing, of which kernel/fork.c and a script of the kernel's
	# warn by #warning.
	"sparc64": dict(more="mm/khugepaged.o mm/huge_memory.o arch/sparc/mm/init_64.o",
			cross="sparc64-linux-gnu-", extra="", flags="KCFLAGS=-Wno-cpp",
			has=("CONFIG_SPARC64=y", "CONFIG_TRANSPARENT_HUGEPAGE=y"),
			defer="arch/sparc/mm/init_64.o"),
}


def say(text):
	for line in text.splitlines():
		print("# " + line, flush=True)


class Tap:
	n = 0

	def result(self, ok, text):
		self.n += 1
		print(f"{'ok' if ok else 'not ok'} {self.n} - {text}", flush=True)
		return ok


tap = Tap()


def run(args, **env):
	child = subprocess.Popen(args, cwd=TOP, text=True, errors="replace",
		stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
		env=dict(os.environ, BUILD=env.pop("BUILD", BUILD), **env))
	for line in child.stdout:
		say(line.rstrip())
	return child.wait()


def build(name, targets, **env):
	"""Compiled, and without a warning?"""
	code = run(["scripts/kernel", name], TARGETS=" ".join(targets.split()), **env)
	log = os.path.join(BUILD, f"log/kernel-{name}.log")
	if not os.path.exists(log):
		return False
	with open(log, errors="replace") as f:
		wrong = [line for line in f if re.search(r"warning:|rror:|\*\*\*", line)]
	say("".join(wrong[:8]))
	return not code and not wrong


def config(name):
	path = os.path.join(BUILD, name, ".config")
	if not os.path.exists(path):
		return ""	# which has been said
	with open(path) as f:
		return f.read()


def holds(name, nm, path, what):
	got = subprocess.run([nm, os.path.join(BUILD, name, path)], stdout=subprocess.PIPE, text=True)
	return any(line.endswith(" " + what) for line in got.stdout.splitlines())


def symbols(name, nm):
	objects = [os.path.join(BUILD, name, o) for o in TOUCHED.split()]
	got = subprocess.run([nm, *objects], stdout=subprocess.PIPE, text=True)
	return re.findall(r"\S*(?:freept|memcg_pt)\S*", got.stdout)


def other(arch):
	how = OTHERS[arch]
	name = "arch-" + arch
	cross = how.get("cross", "")
	env = dict(KARCH=arch, CROSS_COMPILE=cross, KFLAGS=how.get("flags", ""))
	ok = build(name, TOUCHED + " " + how["more"], EXTRA_CONFIG=how["extra"], **env)
	tap.result(ok, f"{arch}: what the series touches compiles without a warning")
	lost = [line for line in how["has"] if line not in config(name)]
	tap.result(not lost, f"{arch}: is configured as meant " + " ".join(lost))
	tap.result("CONFIG_FREEPT=y" not in config(name), f"{arch}: the feature cannot be had")
	left = symbols(name, cross + "nm")
	tap.result(not left, f"{arch}: no symbol of it is left " + " ".join(left[:4]))
	if "holds" in how:
		path, what = how["holds"]
		tap.result(holds(name, cross + "nm", path, what), f"{arch}: {path} holds {what}")
	if "defer" in how:
		name, path = name + "-no-thp", how["defer"]
		ok = build(name, path, EXTRA_CONFIG=how["extra"] +
			   "\n# CONFIG_TRANSPARENT_HUGEPAGE is not set", **env)
		tap.result(ok and "CONFIG_TRANSPARENT_HUGEPAGE=y" not in config(name) and
			   holds(name, cross + "nm", path, "T pte_free_defer"),
			   f"{arch}: has pte_free_defer() without huge pages, in {path}")


def program(path, kernel):
	"""One of tests/, on that kernel: its results are ours"""
	child = subprocess.Popen([path], cwd=TOP, text=True, errors="replace", stdin=subprocess.DEVNULL,
		stdout=subprocess.PIPE, env=dict(os.environ, BUILD=BUILD, KERNEL=kernel))
	seen = bad = 0
	for line in child.stdout:
		m = re.match(r"(not )?ok \d+\s*-?\s*(.*)", line)
		if m:
			seen += 1
			bad += bool(m[1])
			tap.result(not m[1], f"{kernel}: {m[2]}")
		elif line.startswith("#"):
			print(line, end="", flush=True)
	code = child.wait()
	if not seen or (code and not bad):
		tap.result(False, f"{kernel}: {path}: {seen} results, exit code {code}")


def clang():
	ok = build("arch-clang", "bzImage", CC="clang", KFLAGS="LLVM=1")
	tap.result(ok, "clang: the kernel compiles without a warning, and links")
	if ok:
		tap.result(not run(["scripts/guest-tests"]), "clang: the tests compile")
		for path in ("tests/15-kunit.t", "tests/20-empty.t", "tests/30-keep.t",
			     "tests/45-cgroup.t", "tests/51-vanish.t"):
			program(path, "arch-clang")


class Machine:
	"""What one program in it said, as results of ours"""

	def __init__(self):
		self.name, self.bad, self.seen, self.ended = None, 0, 0, []

	def line(self, text):
		m = re.match(r"@@(begin|end) (\S+) ?(\d*)", text)
		if m and m[1] == "begin":
			self.name, self.bad, self.seen = m[2], 0, 0
		elif m:
			code = int(m[3] or 1)
			if not self.seen or (code and not self.bad):
				tap.result(False, f"arm64: {m[2]}: {self.seen} results, exit code {code}")
			self.ended.append(m[2])
			self.name = None
		elif self.name:
			m = re.match(r"(not )?ok \d+\s*-?\s*(.*)", text)
			if m:
				bad = m[1] or (self.name == "kunit" and "# SKIP" in m[2] and
					       m[2].split()[0] not in SKIPPED)
				self.seen += 1
				self.bad += bool(bad)
				tap.result(not bad, f"arm64: {self.name}: {m[2]}")
			elif text.startswith("#"):
				print(text, flush=True)


def boot(kernel, initrd):
	"""Returns the programs that came to an end, and what went wrong or None."""
	machine, lines = Machine(), []
	words = "console=ttyAMA0 panic=-1 kunit.enable=1 kunit.filter_glob=freept* tests=" + \
		":".join(PROGRAMS)
	child = subprocess.Popen(["qemu-system-aarch64", "-nodefaults", "-no-reboot", "-display",
		"none", "-machine", "virt", "-cpu", "cortex-a57", "-smp", "2", "-m", "2G",
		"-accel", "tcg,thread=multi", "-serial", "stdio", "-kernel", kernel,
		"-initrd", initrd, "-append", words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
	start = heard = told = time.monotonic()
	rest, wrong = b"", None
	log = open(os.path.join(BUILD, "log/arch-arm64.log"), "wb")
	try:
		while not wrong:
			if time.monotonic() > told + 50:
				told = time.monotonic()
				say("arm64: still running")
			if not select.select([child.stdout], [], [], 5)[0]:
				if time.monotonic() > heard + SILENCE:
					wrong = "it is silent"
				continue
			got = os.read(child.stdout.fileno(), 65536)
			if not got:
				break
			log.write(got)
			heard = time.monotonic()
			rest += got
			*whole, rest = rest.split(b"\n")
			for raw in whole:
				text = raw.decode(errors="replace").rstrip("\r")
				lines.append(text)
				if vm.TROUBLE.search(text):
					wrong = text
				machine.line(text)
			if heard > start + TIMEOUT:
				wrong = "it takes too long"
	finally:
		child.kill()
		child.wait()
		log.close()
	if wrong:
		say("\n".join(lines[-30:]))
	return machine.ended, wrong


def arm64():
	out = os.path.join(BUILD, "arm64")
	cross = "aarch64-linux-gnu-"
	with open(os.path.join(TOP, "configs/arm64.config")) as f:
		extra = f.read()
	ok = build("arch-arm64", "Image", KARCH="arm64", CROSS_COMPILE=cross, EXTRA_CONFIG=extra)
	tap.result(ok, "arm64: the kernel compiles without a warning")
	has = config("arch-arm64")
	for line in ("CONFIG_FREEPT=y", "CONFIG_MEMCG_PTFREE=y", "CONFIG_FREEPT_KUNIT_TEST=y"):
		tap.result(line in has, "arm64: has " + line)
	code = run(["scripts/guest-tests"], BUILD=out, TREE=os.path.join(BUILD, "tree"),
		   KARCH="arm64", CC=cross + "gcc", PROGRAMS=" ".join(PROGRAMS))
	tap.result(not code, "arm64: the tests compile")
	root = os.path.join(out, "root")
	os.makedirs(os.path.join(root, "tests"), exist_ok=True)
	os.makedirs(os.path.join(root, "dev"), exist_ok=True)
	os.makedirs(os.path.join(root, "bin"), exist_ok=True)
	true = os.path.join(root, "bin/true")
	if not os.path.lexists(true):
		os.symlink("/init", true)
	subprocess.run([cross + "gcc", "-O2", "-Wall", "-Wextra", "-static", "-o",
			os.path.join(root, "init"), os.path.join(TOP, "tests/arch/init.c")], check=True)
	for name in PROGRAMS:
		path = os.path.join(out, "guest", name)
		if os.path.exists(path):
			subprocess.run(["cp", path, os.path.join(root, "tests", name)], check=True)
	names = subprocess.run(["find", "."], cwd=root, stdout=subprocess.PIPE, check=True).stdout
	with open(os.path.join(out, "initrd.cpio"), "wb") as f:
		subprocess.run(["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"], cwd=root, input=names,
			       stdout=f, check=True)
	if not ok or code:
		return
	ended, wrong = boot(os.path.join(BUILD, "arch-arm64/arch/arm64/boot/Image"),
			    os.path.join(out, "initrd.cpio"))
	tap.result(not wrong, f"arm64: nothing is wrong with the machine {wrong or ''}")
	missing = [p for p in ("kunit", *PROGRAMS) if p not in ended]
	tap.result(not missing, "arm64: all programs came to an end " + " ".join(missing))


def main():
	print("TAP version 13", flush=True)
	tap.result(not run(["scripts/deps", "arch"]), "the compilers are there")
	tap.result(not run(["scripts/tree", "lay"]), "the tree is laid")
	for arch in ARCHS:
		if arch == "arm64":
			arm64()
		elif arch == "clang":
			clang()
		else:
			other(arch)
	print(f"1..{tap.n}")


if __name__ == "__main__":
	main()
