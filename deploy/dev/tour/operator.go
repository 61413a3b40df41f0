package tour

import (
	"strings"

	"mailroom/deploy/dev/stack"
	"mailroom/shared/config"
)

// Operator is the operator as which the tour acts: the first one of the configuration with a role
// in every tenant, else the first of all. The zero Operator means that the configuration lists
// none.
type Operator struct {
	ref    string // of the token, such as env:OPERATOR_TOKEN
	token  string
	issuer string // of the OpenID provider that people sign in with, if there is one
}

// OperatorOf returns the operator of a configuration whose secret references are resolved.
func OperatorOf(file *config.File) Operator {
	found := Operator{issuer: file.Access.OIDC.Issuer}
	for _, o := range file.Operators {
		if found.ref != "" && o.Role == "" {
			continue
		}
		found.ref, found.token = o.Token.Ref, o.Token.Key.Reveal()
		if o.Role != "" {
			break
		}
	}
	return found
}

// shown returns the token if development publishes it, else where it is stored, else why there is
// none.
func (o Operator) shown() string {
	switch {
	case o.ref == "" && o.issuer != "":
		return "none: sign in through " + o.issuer
	case o.ref == "":
		return "none: the configuration lists no operator (operators: [{name, role, token}])"
	case o.published():
		return o.token
	}
	return "the one behind " + o.ref
}

// published reports whether the token is one that development publishes.
func (o Operator) published() bool {
	return o.token != "" && o.token == stack.DevDefaults().Get("OPERATOR_TOKEN")
}

// prefix returns the text that a shell needs in front of mailctl to find the token, which may be
// empty.
func (o Operator) prefix() string {
	name, isVariable := strings.CutPrefix(o.ref, "env:")
	path, isFile := strings.CutPrefix(o.ref, "file:")
	switch {
	case o.published():
		return ""
	case isVariable:
		return `MAILROOM_TOKEN="$` + name + `" `
	case isFile:
		return `MAILROOM_TOKEN="$(cat '` + path + `')" `
	}
	return "MAILROOM_TOKEN=… "
}
