#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# ptfree(8) and configured budgets on a kernel that cannot.
# shellcheck disable=SC2317 # what ok, soon and is call
# shellcheck source=tests/debian/lib.sh
. /tests/lib.sh

ok "status: nobody asks for a budget" says 3 "does not have ptfree" ptfree status
unit shop.service <<-UNIT
	[Service]
	ExecStart=/usr/local/bin/filler 1024 0 /run/filler.ready
	X-MemoryPageTableMax=64M
UNIT
reload
ok "status: the unit does not run" says 3 "not running" ptfree status
ok "the status service: nobody asks" systemctl start ptfree-status.service
systemctl start shop
ok "the status service fails" fails systemctl start ptfree-status.service
ok "and the journal says why" journal_has "NOT IN FORCE" -u ptfree-status.service
ok "status: it runs, and its budget is not in force" says 1 "the kernel cannot" ptfree status
ok "the service has filled its page tables" soon test -e /run/filler.ready
ok "survey counts all the same" says 0 "filler" ptfree survey shop.service
ok "reclaim says why not" says 3 "does not have ptfree" ptfree reclaim shop.service
finish
