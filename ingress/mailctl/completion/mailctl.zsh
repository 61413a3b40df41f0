#compdef mailctl
# Completes mailctl in zsh: . <(mailctl completion zsh), after compinit.
_mailctl() {
  local line
  local -a found
  for line in "${(@f)$("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    [[ -z $line ]] && continue
    if [[ $line == :files ]]; then
      _files
      return
    fi
    found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
  done
  _describe mailctl found
}

# As a file of fpath, this is the body of the function at its first call.
if [[ ${funcstack[1]} == _mailctl ]]; then
  _mailctl "$@"
else
  compdef _mailctl mailctl
fi
