#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Empty page tables are freed before anybody is killed for memory: in a cgroup and
# in a machine that is small. With freept=off somebody is killed for them, and on
# Debian's own kernel as well.
set -eu
cd "$(dirname "$0")/.."

{
	for machine in \
		"--append=ramdisk_size=524288 --mem=1G|pressure" \
		"--append=ramdisk_size=524288 --mem=256M|pressure --machine" \
		"--append=ramdisk_size=524288 --append=freept=off --mem=256M|pressure --expect-off --machine" \
		"--kernel=stock --append=ramdisk_size=524288 --mem=1G|pressure --expect-stock"
	do
		# shellcheck disable=SC2086 # several words
		tests/run --kernel "${KERNEL:-lean}" ${machine%%|*} "${machine#*|}" || echo "@failed"
	done
} | awk -f tests/one-stream.awk
