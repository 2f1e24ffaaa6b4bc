#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Budgets of page tables: what memory.pt.high and memory.pt.max free, whom they
# kill and whom they spare, and what they do to fork and populating calls.
# cgoom is the first: the kernel prints but so many OOM kills a second.
set -eu
run=$(dirname "$0")/run
exec "$run" --kernel "${KERNEL:-lean}" cgoom cgputoff cgspare cglower cgbudget cgmode1 cgfork cgpopulate \
	"bomb -t one_after_another"
