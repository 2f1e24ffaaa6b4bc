#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# userfaultfd against the scanner: no false error, no lost page.
set -eu
exec "$(dirname "$0")/run" --kernel "${KERNEL:-lean}" uffd
