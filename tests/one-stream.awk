# SPDX-License-Identifier: GPL-2.0-only
#
# Results of several machines as one stream of TAP: one version, one plan at the end,
# and results that are numbered through.
#
#	{ tests/run ONE || echo @failed; tests/run OTHER || echo @failed; } |
#		awk -f tests/one-stream.awk
#
# Exit code 1 if a result is "not ok", a line is "@failed", or there is none. With -v n=N, N results and
# the version were printed before.
BEGIN { begun = n != "" }
/^TAP version/ { if (!begun++) print; next }
/^1\.\./ { next }
/^@failed$/ { bad = 1; next }
/^(not )?ok [0-9]+/ {
	if (!begun++)
		print "TAP version 13"
	sub(/ok [0-9]+/, "ok " ++n)
}
/^not ok/ { bad = 1 }
{ print; fflush() }
END { print "1.." n + 0; exit bad || !n }
