#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# covers: mm :!mm/freept_kunit* include patches/linux-6.12 configs/lean.config configs/small.config configs/selftests.config tests/selftests.py tests/selftests-cgroup tests/selftests-mm
# needs: build vm lean stock selftests
#
# The kernel's own selftests of cgroups and of memory management pass as they do on a
# stock kernel: with the feature there and unused, and with the empty tables of all
# processes freed in the background. Which are left out, and why: tests/selftests-cgroup
# --help, tests/selftests-mm --help. Not a part of `make check`: some have time limits of
# their own, which a busy host misses. This part runs those of cgroups; selftests-mm
# those of memory management, for which two more kernels are built.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
export BUILD="${BUILD:-$top/build}"
suites=${SUITES:-cgroup}

"$top/scripts/tree" lay >&2
"$top/scripts/guest-tests" >&2
case $suites in
*mm*)
	"$top/scripts/kernel" selftests >&2
	# The very source that the tree was made from
	version=$(sed -n 's/.*"source": "deb \([^"]*\)".*/\1/p' "$BUILD/tree/.git/ptfree.json")
	[ -z "$version" ] || export SOURCE_VERSION="$version"
	"$top/scripts/source" keep "$BUILD/pristine" >&2
	TREE=$BUILD/pristine "$top/scripts/kernel" selftests-stock >&2
	;;
esac
for suite in $suites; do
	case $suite in
	cgroup) "$top/tests/selftests-cgroup" --kernel "${KERNEL:-lean}" || echo "@failed" ;;
	*) "$top/tests/selftests-$suite" || echo "@failed" ;;
	esac
done | awk -f "$top/tests/one-stream.awk"
