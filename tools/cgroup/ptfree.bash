# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Completion of ptfree(8)

_ptfree_root()
{
	awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts
}

# One a line, which is safe: the kernel takes no newline in the name of a cgroup.
_ptfree_targets()
{
	local root name dir=
	root=$(_ptfree_root)
	[[ -n $root ]] || return
	# running units by name; cgroups by path, a level at a time
	find "$root" -mindepth 1 -type d \( -name '*.service' -o -name '*.slice' -o -name '*.scope' \) \
		-printf '%f\n' 2>/dev/null
	[[ $1 != */* ]] || dir=${1%/*}/
	# as it is typed, the path may be quoted
	dir=${dir//\\/}
	find "$root/${dir#"$root"}" -mindepth 1 -maxdepth 1 -type d -printf '%f\n' 2>/dev/null |
	while IFS= read -r name; do
		printf '%s\n' "$dir$name"
	done
}

# Names on standard input that begin with $1 become COMPREPLY. They come from
# whoever may make a cgroup, and root presses TAB: they are never expanded, as
# compgen -W does with its words, and quoted where they are put into the line.
_ptfree_offer()
{
	local name quoted
	while IFS= read -r name; do
		printf -v quoted %q "$name"
		if [[ $name == "$1"* || $quoted == "$1"* ]]; then
			COMPREPLY+=("$quoted")
		fi
	done
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
		compopt -o filenames 2>/dev/null	# readline quotes them
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	esac
	if [[ $cur == -* ]]; then
		case ${COMP_WORDS[1]} in
		survey)
			words='--processes --cgroups --sort --reverse --lines --quick --thorough --no-scan --user --json' ;;
		top)
			words='--batch --delay --iterations --cgroups --tree --sort --reverse --no-scan --json' ;;
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
		_ptfree_offer "$cur" < <(_ptfree_targets "$cur")
		;;
	esac
}

complete -F _ptfree ptfree
