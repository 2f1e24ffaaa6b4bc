# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Completion of ptfree(8)

_ptfree_targets()
{
	local root
	root=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)
	# running units by name; cgroups by path, a level at a time
	find "$root" -mindepth 1 -type d \( -name '*.service' -o -name '*.slice' -o -name '*.scope' \) \
		-printf '%f\n' 2>/dev/null
	if [[ -n $root ]]; then
		(cd "$root" && compgen -d -- "$1")
	fi
}

_ptfree()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} words=
	local columns='pid user processes mapped resident tables ratio freeable high max command cgroup'

	COMPREPLY=()
	if [[ $COMP_CWORD -eq 1 ]]; then
		words='survey top set reclaim watch metrics status --help --version'
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
		return
	fi
	case $prev in
	-s | --sort)
		if [[ ${COMP_WORDS[1]} != reclaim ]]; then
			mapfile -t COMPREPLY < <(compgen -W "$columns" -- "$cur")
			return
		fi
		;;
	-o | --output)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	esac
	if [[ $cur == -* ]]; then
		case ${COMP_WORDS[1]} in
		survey)
			words='--processes --cgroups --sort --reverse --lines --quick --no-scan --user --json' ;;
		top)
			words='--batch --delay --iterations --cgroups --tree --sort --reverse --no-scan' ;;
		set)
			words='--high --max --user --json' ;;
		reclaim)
			words='--size --user --json' ;;
		watch)
			words='--count --timeout --user --json' ;;
		metrics)
			words='--output --depth --cgroup --scan' ;;
		status)
			words='--quiet --json' ;;
		esac
		mapfile -t COMPREPLY < <(compgen -W "$words --help" -- "$cur")
		return
	fi
	case ${COMP_WORDS[1]} in
	survey | set | reclaim | watch)
		mapfile -t COMPREPLY < <(compgen -W "$(_ptfree_targets "$cur")" -- "$cur")
		;;
	esac
}

complete -F _ptfree ptfree
