#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# covers: mm :!mm/freept_kunit* include patches/linux-6.12 configs/lean.config configs/small.config configs/selftests.config tests/selftests.py tests/selftests-mm tests/full/selftests.t
# needs: build vm selftests
#
# The kernel's own selftests of memory management, see tests/full/selftests.t.
SUITES=mm exec "$(dirname "$0")/selftests.t"
