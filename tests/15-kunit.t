#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The engine's unit tests, run by the kernel itself while it boots. Their
# results are indented TAP in debugfs: the inner level is ours.
set -eu
exec "$(dirname "$0")/run" --kernel "${KERNEL:-lean}" \
	--append "kunit.enable=1 kunit.filter_glob=freept*" \
	--before 'printf "%s\n" "#!/bin/sh" \
		"cd /sys/kernel/debug/kunit/freept || exit 1" \
		"sed -n \"s/^    \\(ok\\|not ok\\|#\\|1\\.\\.\\)/\\1/p\" results" >kunit; chmod +x kunit' \
	./kunit
