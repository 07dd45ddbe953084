"""The completion script of each shell: it passes the line up to the cursor to convcli, and shows the answer.

An answer has lines of ``type``, ``value`` and ``description``, separated by tabs; with the types ``file`` and
``dir``, the shell completes file names itself.
"""

from __future__ import annotations

from typing import Final

BASH: Final = r"""# Completion of convcli for bash.
_convcli() {
    local type value
    COMPREPLY=()
    while IFS=$'\t' read -r type value _; do
        case $type in
            plain) COMPREPLY+=("$value") ;;
            file) compopt -o default ;;
            dir) compopt -o dirnames ;;
        esac
    done < <(_CONVCLI_COMPLETE=bash_complete _CONVCLI_LINE="${COMP_LINE:0:COMP_POINT}" _CONVCLI_WORD="$2" \
        "${1/#\~/$HOME}" 2>/dev/null)
    if [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *[:=] ]]; then
        compopt -o nospace
    fi
}
complete -o nosort -F _convcli convcli 2>/dev/null || complete -F _convcli convcli
"""

ZSH: Final = r"""#compdef convcli
# Completion of convcli for zsh.
_convcli() {
    local type value help folders
    local -a plain open
    local files=0 failed=1
    while IFS=$'\t' read -r type value help; do
        value=${value//:/\\:}
        case $type in
            plain)
                if [[ $value == *[:=] ]]; then
                    open+=("$value${help:+:$help}")
                else
                    plain+=("$value${help:+:$help}")
                fi ;;
            file) files=1 ;;
            dir) files=1 folders=-/ ;;
        esac
    done < <(_CONVCLI_COMPLETE=zsh_complete _CONVCLI_LINE="${(j: :)words[1,CURRENT-1]} $QIPREFIX$PREFIX" \
        ${~words[1]} 2>/dev/null)
    if (( $#plain )); then
        _describe -V value plain && failed=0
    fi
    if (( $#open )); then
        _describe -V value open -S '' && failed=0
    fi
    if (( files )); then
        compset -P '--*='
        _files $folders && failed=0
    fi
    return failed
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _convcli "$@"
else
    compdef _convcli convcli
fi
"""

FISH: Final = r"""# Completion of convcli for fish.
function __convcli_complete
    set -l word (commandline -ct)
    set -l head (string match -r -- '^--[^=]*=' $word)
    set -l tail (string replace -r -- '^--[^=]*=' '' $word)
    set -l program (string replace -r '^~(?=/)' $HOME (commandline -opc)[1])
    set -l line (commandline -cp | string collect)
    for answer in (env _CONVCLI_COMPLETE=fish_complete _CONVCLI_LINE="$line" $program 2>/dev/null)
        set -l part (string split -m 2 \t -- $answer)
        switch $part[1]
            case plain
                echo $part[2]\t$part[3]
            case file
                for path in (__fish_complete_path $tail)
                    echo "$head$path"
                end
            case dir
                for path in (__fish_complete_directories $tail)
                    echo "$head$path"
                end
        end
    end
end
complete -c convcli -f -a '(__convcli_complete)'
"""

SCRIPTS: Final = {"bash": BASH, "zsh": ZSH, "fish": FISH}
