# SPDX-License-Identifier: MIT
#
# Completion of anykv for bash. All words come from the command itself, so they
# are those of the version that is installed.

_anykv()
{
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local command=${COMP_WORDS[0]} engine="" words="" i
    local -a path=()

    COMPREPLY=()
    # bash splits words at "=": --sync=al is "--sync", "=", "al".
    if [[ $current == "=" ]]; then
        current=""
    elif [[ $previous == "=" ]]; then
        previous=${COMP_WORDS[COMP_CWORD - 2]}
    fi

    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        -e | --engine) engine=${COMP_WORDS[i + 1]} ;;
        --engine=*) engine=${COMP_WORDS[i]#*=} ;;
        esac
    done
    [[ $COMP_CWORD -gt 1 ]] && path+=("${COMP_WORDS[1]}")
    [[ $COMP_CWORD -gt 2 && ${path[0]} =~ ^(fused|lsm)$ ]] && path+=("${COMP_WORDS[2]}")
    [[ ${path[0]-} =~ ^(fused|lsm)$ && -z $engine ]] && engine=${path[0]}

    case $previous in
    -e | --engine | --from-engine)
        words=$("$command" engines --names 2>/dev/null)
        ;;
    -o | --option | --from-option)
        words=$({
            "$command" options --names
            [[ -n $engine ]] && "$command" options "$engine" --names
        } 2>/dev/null)
        mapfile -t COMPREPLY < <(compgen -S = -W "$words" -- "$current")
        compopt -o nospace 2>/dev/null
        return
        ;;
    --*)
        # A choice is told as --name=one|two.
        words=$("$command" help --words "${path[@]}" 2>/dev/null |
            sed -n "s/^$previous=//p" | tr '|' ' ')
        ;;
    esac
    if [[ -z $words && ${#path[@]} -eq 0 ]]; then
        words=$("$command" help --words 2>/dev/null)
    elif [[ -z $words && ${path[*]} =~ ^(fused|lsm)$ ]]; then
        words=$("$command" help --words "${path[0]}" 2>/dev/null)
    elif [[ -z $words && $current == -* ]]; then
        words=$("$command" help --words "${path[@]}" 2>/dev/null | sed 's/=.*//')
    elif [[ -z $words && (${path[0]} == options || ${path[0]} == help) ]]; then
        [[ ${path[0]} == options ]] && words=$("$command" engines --names 2>/dev/null)
        [[ ${path[0]} == help ]] && words=$("$command" help --words 2>/dev/null)
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
    if [[ ${#COMPREPLY[@]} -eq 0 && $current != -* ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        compopt -o filenames 2>/dev/null
    fi
}

complete -F _anykv anykv
