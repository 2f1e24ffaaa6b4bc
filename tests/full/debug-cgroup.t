#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# covers: mm :!mm/freept_kunit* include patches/linux-6.12 configs/lean.config configs/small.config configs/debug.config tests/cg*.c tests/bomb.c tests/cg*.h tests/common.h tests/measure.h tests/uffd.h tests/uring.h tests/full/debug.t
# needs: build vm
#
# What counts and limits page tables, on the debug kernel, see tests/full/debug.t.
NUMBERS="45 46" exec "$(dirname "$0")/debug.t"
