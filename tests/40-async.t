#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Who is cleaned in the background and when, the settings, and the counters.
# sysctls goes first: it finds the settings of a machine that has just booted.
set -eu
exec "$(dirname "$0")/run" --kernel "${KERNEL:-lean}" sysctls sleepers counters
