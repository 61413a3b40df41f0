# Completes mailctl in fish: mailctl completion fish | source
function __mailctl_complete
    set -l before (commandline -opc)
    set -l current (commandline -ct)
    for line in ($before[1] __complete $before[2..-1] "$current" 2>/dev/null)
        if test "$line" = :files
            __fish_complete_path "$current"
        else
            echo $line
        end
    end
end
complete -c mailctl -f -a '(__mailctl_complete)'
