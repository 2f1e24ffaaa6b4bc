#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Tables that vanish while the kernel is in the middle of something with them.
set -eu
exec "$(dirname "$0")/run" --kernel "${KERNEL:-lean}" vanish
