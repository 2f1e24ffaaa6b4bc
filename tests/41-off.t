#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The boot parameter freept=off: settings, limits and counters are there, and
# nothing is ever freed.
set -eu
exec "$(dirname "$0")/run" --kernel "${KERNEL:-lean}" --append freept=off \
	"sysctls --expect-off" "empty --expect-off" "shapes --expect-off" \
	"sleepers --expect-off" "counters --expect-off" \
	"cgfiles --expect-off" "cgevents --expect-off" "cgcount --expect-off" \
	"cgcrowd --expect-off" "cgreclaim --expect-off" "cgmode1 --expect-off" \
	"switches --expect-off" "ptreclaim --expect-off" "whowins --expect-off" \
	"forkskip --expect-off"
