# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# Sourced by the scripts that run in the Debian image: results in TAP, waiting.

count=0
bad=0
group=/sys/fs/cgroup

echo "TAP version 13"

# ok TEXT COMMAND...: a result that is what the command returns; a failed one
# shows what the command has written.
ok() {
	text=$1
	shift
	count=$((count + 1))
	if out=$("$@" 2>&1); then
		echo "ok $count - $text"
	else
		bad=$((bad + 1))
		echo "not ok $count - $text"
		echo "# $*"
		printf '%s\n' "$out" | head -n 30 | sed 's/^/#   /'
	fi
}

note() { echo "# $*"; }

finish() {
	echo "1..$count"
	[ $bad = 0 ]
	exit
}

# is WANT COMMAND...: the command prints WANT.
is() {
	want=$1
	shift
	got=$("$@" 2>&1) || true
	[ "$got" = "$want" ] || { echo "got '$got', expected '$want'"; return 1; }
}

fails() { ! "$@"; }

# ends CODE COMMAND...: with that exit code
ends() {
	want=$1
	shift
	said=$("$@" 2>&1)
	code=$?
	echo "code $code"
	echo "$said"
	[ $code = "$want" ]
}

# says CODE TEXT COMMAND...: the same, and TEXT is in what it says
says() {
	want=$1
	text=$2
	shift 2
	ends "$want" "$@" && case $said in *"$text"*) ;; *) false ;; esac
}

# lives PID: it does, and is no zombie, which kill -0 would find as well
lives() { [ -e "/proc/$1/exe" ]; }

# soon COMMAND...: true within a minute. For what systemd does after it has
# answered.
soon() {
	tries=0
	while ! out=$("$@" 2>&1); do
		tries=$((tries + 1))
		[ $tries -lt 300 ] || { echo "$out"; return 1; }
		sleep 0.2
	done
}

cgroup_of() { systemctl show -P ControlGroup "$1"; }

# knob UNIT FILE: what a file of the unit's control group says.
knob() { cat "$group$(cgroup_of "$1")/$2"; }

# unit FILE: standard input becomes a unit file or drop-in.
unit() {
	case $1 in
	/*)	path=$1 ;;
	*)	path=/etc/systemd/system/$1 ;;
	esac
	mkdir -p "${path%/*}"
	cat >"$path"
}

reload() { systemctl daemon-reload; }

# applied: ptfree-apply.service has done what the last daemon-reload left to it
applied() {
	[ ! -e /run/systemd/generator/.ptfree-reload ] &&
		is inactive systemctl show -P ActiveState ptfree-apply.service
}

# journal_has TEXT [ARG...]: a line with TEXT is in the journal.
journal_has() {
	text=$1
	shift
	journalctl -q --sync
	journalctl -q -o cat "$@" | grep -F -e "$text" >/dev/null || {
		journalctl -q -o cat "$@" | tail -n 15
		return 1
	}
}
