#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# What a process can ask for, and who wins: prctl, madvise, requests, vm.freept;
# what fork does not copy; and the tracepoints, which show all of it.
set -eu
exec "$(dirname "$0")/run" --kernel "${KERNEL:-lean}" switches ptreclaim whowins forkskip trace
