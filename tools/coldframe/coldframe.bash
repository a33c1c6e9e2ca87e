# SPDX-License-Identifier: MIT
# Completion of coldframe(1) for bash. What can be typed is asked of the
# program itself, so it is what the installed version knows.

# The words of its --help that stand first in a line: commands, or options.
_coldframe_options()
{
	"$1" "$2" --help 2>/dev/null |
		grep -oE -- '(^  +|, )-?-[a-zA-Z][-a-z]*=?' | tr -d ' ,'
}

_coldframe_commands()
{
	"$1" --help 2>/dev/null | sed -n '/^Commands:/,/^$/s/^  \([a-z-]*\) .*/\1/p'
}

_coldframe_columns()
{
	"$1" "$2" --help 2>/dev/null | sed -n 's/^ [ *]\([A-Z][A-Z-]*\) .*/\1/p'
}

# Each of a list with commas: what stands before the last comma stays.
_coldframe_list()
{
	local current=${1#+} done=

	[[ $current == *,* ]] && done=${current%,*},
	[[ $1 == +* ]] && done=+$done
	compopt -o nospace
	mapfile -t COMPREPLY < <(compgen -P "$done" -S , -W "$2" -- \
		"${current##*,}")
}

_coldframe_blocks()
{
	local block

	for block in /sys/devices/system/memory/memory[0-9]*; do
		[[ -e $block ]] && echo "${block##*/memory}"
	done
}

# What belongs behind an option; 1: nothing that is known.
_coldframe_value()
{
	case $1 in
	-s | --sysroot)
		mapfile -t COMPREPLY < <(compgen -d -- "$2") ;;
	-F | --file)
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -f -- "$2") ;;
	--color)
		mapfile -t COMPREPLY < <(compgen -W 'auto always never' -- "$2") ;;
	-m | --machine)
		mapfile -t COMPREPLY < <(compgen -W 'embedded qemu' -- "$2") ;;
	--compress)
		mapfile -t COMPREPLY < <(compgen -W 'zlib zstd none' -- "$2") ;;
	--from)
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -f -- "$2") ;;
	--cpu-kind)
		mapfile -t COMPREPLY < <(compgen -W 'x86-64 aarch64' -- "$2") ;;
	-z | --zone)
		mapfile -t COMPREPLY < <(compgen -W \
			'DMA DMA32 Normal HighMem Movable Device' -- "$2") ;;
	-o | --output | -S | --split)
		_coldframe_list "$2" "$(_coldframe_columns "$3" "$4")" ;;
	*)
		return 1 ;;
	esac
}

_coldframe()
{
	local program=${COMP_WORDS[0]} command=${COMP_WORDS[1]}
	local current=${COMP_WORDS[COMP_CWORD]}
	local before=${COMP_WORDS[COMP_CWORD - 1]}

	COMPREPLY=()
	if ((COMP_CWORD == 1)); then
		mapfile -t COMPREPLY < <(compgen -W \
			"$(_coldframe_commands "$program") --help --version" \
			-- "$current")
		return
	fi
	# --option=value comes in three words.
	[[ $current == = ]] && current=
	[[ $before == = ]] && before=${COMP_WORDS[COMP_CWORD - 2]}
	_coldframe_value "$before" "$current" "$program" "$command" && return
	if [[ $current == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W \
			"$(_coldframe_options "$program" "$command")" -- \
			"$current")
		return
	fi
	case $command in
	blocks | why | watch | chunks)
		mapfile -t COMPREPLY < <(compgen -W "$(_coldframe_blocks)" -- \
			"$current") ;;
	*)
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
	esac
}

complete -F _coldframe coldframe
