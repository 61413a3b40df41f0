package mailctl

import (
	"maps"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// optionUsers lists the commands, by their first word, that use an option which every
// command accepts. The others refuse it: no flag is ignored.
var optionUsers = map[string][]string{
	"api":         {"emails", "replay", "audit", "sources", "tokens", "destinations", "routes"},
	"token-file":  {"emails", "replay", "audit", "sources", "tokens", "destinations", "routes"},
	"url":         {"send", "sign", "verify"},
	"secret-file": {"send", "sign", "verify"},
}

// given lists the long names of the flags on the command line, sorted.
type given []string

// givenFlags returns the flags that a command line has.
func givenFlags(parsed *kong.Context) given {
	names := map[string]bool{}
	for _, element := range parsed.Path {
		if element.Flag != nil && !element.Resolved {
			names[element.Flag.Name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// check refuses options that the command does not use.
func (g given) check(command string) error {
	first, _, _ := strings.Cut(command, " ")
	for _, name := range g {
		users, limited := optionUsers[name]
		if limited && !slices.Contains(users, first) {
			return usagef("--%s: mailctl %s does not use it", name, first)
		}
	}
	return nil
}

// refuse returns a usage error for the first given flag of names, with why it
// does not fit.
func (g given) refuse(why string, names ...string) error {
	for _, name := range names {
		if slices.Contains(g, name) {
			return usagef("--%s %s", name, why)
		}
	}
	return nil
}
