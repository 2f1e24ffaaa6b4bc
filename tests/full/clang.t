#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# covers: mm include patches/linux-6.12 configs/lean.config tests/15-kunit.t tests/20-empty.t tests/30-keep.t tests/45-cgroup.t tests/51-vanish.t tests/*.c tests/*.h tests/full/arch.t :!tests/torture* :!tests/hostile.c :!tests/bomb.c
# needs: build vm arch
#
# Another compiler for x86_64, see tests/full/arch.t.
ARCHS=clang exec "$(dirname "$0")/arch.t"
