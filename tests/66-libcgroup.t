#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# libcgroup as Debian ships it: cgcreate, cgset, cgget, cgexec, cgclassify,
# cgconfigparser, cgsnapshot, cgdelete, cgclear with memory.pt.*.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
exec "$top/tests/run-debian" --kernel "${KERNEL:-lean}" \
	--vm "--put '$top/tools/libcgroup/cgconfig.conf:usr/share/doc/ptfree/cgconfig.conf'" \
	--before "cp /tests/tables /usr/local/bin" libcgroup.sh
