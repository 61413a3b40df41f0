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

// givenFlags returns the sorted long names of the flags on the command line.
func givenFlags(parsed *kong.Context) []string {
	names := map[string]bool{}
	for _, element := range parsed.Path {
		if element.Flag != nil && !element.Resolved {
			names[element.Flag.Name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// checkOptions refuses options that the command does not use.
func (s *session) checkOptions(command string) error {
	first, _, _ := strings.Cut(command, " ")
	for _, name := range s.given {
		users, limited := optionUsers[name]
		if limited && !slices.Contains(users, first) {
			return usagef("--%s: mailctl %s does not use it", name, first)
		}
	}
	return nil
}

// refuseGiven returns a usage error for the first given flag of names, with why it
// does not fit.
func (s *session) refuseGiven(why string, names ...string) error {
	for _, name := range names {
		if slices.Contains(s.given, name) {
			return usagef("--%s %s", name, why)
		}
	}
	return nil
}
