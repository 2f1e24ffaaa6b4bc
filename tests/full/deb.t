#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# covers: mm include patches/linux-6.12 configs packaging scripts/deb tests/76-kernel-package.t tests/debian/kernel-package.sh
# needs: build vm image disk deb tools
#
# The lean kernel as a package, compiled with a configuration of its own, where the
# test in `make check` takes what is there.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)

"$top/scripts/tree" lay >&2
PACKAGE=lean exec "$top/tests/76-kernel-package.t"
