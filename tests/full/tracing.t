#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# covers: mm/freept.c mm/freept_scan.c include/trace Documentation/admin-guide/mm/freept.rst tests/debian/tracing.sh
# needs: build vm image
#
# The tracing examples of the guide, run as they stand there, with perf and bpftrace
# as Debian ships them. Not a part of `make check`: bpftrace wants a kernel of its
# own (BPF programs at tracepoints hang on uprobes in Kconfig) and a larger image.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
build=${BUILD:-$top/build}

"$top/scripts/tree" lay >&2
EXTRA_CONFIG='CONFIG_UPROBES=y
CONFIG_UPROBE_EVENTS=y
CONFIG_BPF_EVENTS=y
CONFIG_FTRACE_SYSCALLS=y
CONFIG_BPF_JIT=y' "$top/scripts/kernel" tracing >&2
mkdir -p "$build/tracing-overlay/usr/local/bin"
gcc -O2 -static -o "$build/tracing-overlay/usr/local/bin/filler" "$top/tests/tool/filler.c"
exec "$top/tests/run-debian" --image tracing --kernel tracing --overlay "$build/tracing-overlay" \
	--vm "--put '$top/Documentation/admin-guide/mm/freept.rst:tests/freept.rst'" tracing.sh
