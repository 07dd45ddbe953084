# Completion of convcli for fish.
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
