#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The packages on a kernel that cannot, as after an upgrade of Debian's: they are
# installed, units start, the journal says what is not in force, they go again.
# shellcheck disable=SC2317 # what ok, soon and is call
# shellcheck source=tests/debian/lib.sh
. /tests/lib.sh
export DEBIAN_FRONTEND=noninteractive

unit early.service <<-UNIT
	[Service]
	ExecStart=/bin/sleep infinity
	X-MemoryPageTableMax=16M
UNIT
reload
systemctl start early
ok "this kernel has no budgets" [ ! -e $group/init.scope/memory.pt.max ]
ok "dpkg -i of both" dpkg -i /srv/ptfree_*.deb /srv/ptfree-dev_*.deb
ok "a unit with a budget starts" systemctl restart early
ok "ptfree status: the kernel cannot" says 1 "the kernel cannot" ptfree status
ok "the check at boot fails" fails systemctl start ptfree-status.service
ok "the journal names the unit" journal_has "early.service" -u ptfree-status.service
ok "and says what is the matter" journal_has "NOT IN FORCE" -u ptfree-status.service
ok "dpkg -P" dpkg -P ptfree ptfree-dev
ok "the unit starts" systemctl restart early
ok "nothing has failed" is "" systemctl list-units --failed --plain --no-legend
finish
