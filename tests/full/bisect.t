#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# covers: mm include Documentation :(glob)patches/linux-6.12/** configs/lean.config
# needs: build series
#
# A bisection can stop anywhere: every patch of the series compiles without a warning on
# top of those before it, with the lean configuration and the options of the feature as
# they appear. What was compiled is remembered, so that the part can be called again
# until all is.
#
#	BISECT_MINUTES=N	no patch is begun after so many minutes (45)
set -eu
cd "$(dirname "$0")/../.."

COMPILE=1 STEPS_MINUTES=${BISECT_MINUTES:-45} scripts/tree series 2>&1 | awk '
	BEGIN { print "TAP version 13" }
	/^tree: step [0-9]+ of [0-9]+ / {
		total = $5
		ok = $6 == "compiles," ? "ok" : "not ok"
		sub(/^tree: step [0-9]+ of [0-9]+ /, "")
		print ok, ++n, "-", $0
		fflush()
		next
	}
	{ print "# " $0; fflush() }
	# Without a step there is no plan, which prove takes for what it is.
	END { if (total) print "1.." total }
'
