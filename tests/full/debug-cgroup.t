#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# covers: mm include patches/linux-6.12 configs/lean.config configs/small.config configs/debug.config tests/cg*.c tests/bomb.c tests/*.h :!tests/torture* tests/full/debug.t
# needs: build vm
#
# What counts and limits page tables, on the debug kernel, see tests/full/debug.t.
NUMBERS="45 46" exec "$(dirname "$0")/debug.t"
