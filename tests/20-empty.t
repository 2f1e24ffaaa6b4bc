#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Every way to empty page tables: they are freed in the background.
set -eu
exec "$(dirname "$0")/run" --kernel "${KERNEL:-lean}" empty shapes
