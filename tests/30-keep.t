#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# What must not be freed: tables with any kind of entry in them.
set -eu
exec "$(dirname "$0")/run" --kernel "${KERNEL:-lean}" keep
