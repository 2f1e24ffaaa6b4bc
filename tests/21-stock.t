#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The same programs on Debian's own kernel of that version, where every empty
# table must stay: what 20-empty.t measures is there to be measured.
set -eu
exec "$(dirname "$0")/run" --kernel "${KERNEL:-stock}" "empty --expect-stock" "shapes --expect-stock" \
	"sleepers --expect-stock" "uffd --expect-stock" "counters --expect-stock" \
	"switches --expect-stock" "forkskip --expect-stock"
