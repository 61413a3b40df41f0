package mailctl

import (
	"fmt"
	"strings"
)

// credential is a secret or a token, and where it came from. The origin goes on after
// "the token" in a sentence for people, and holds no secret text but the values that
// development publishes.
type credential struct {
	text   string
	origin string
}

// origins says where a credential may come from.
type origins struct {
	flag, file string // the flag that names a file, and the file
	variable   string // of the environment
	// local is another variable, and development the value that development publishes. Both
	// are for loopback addresses alone.
	local, development string
}

// secret returns the webhook secret.
func (s *session) secret() (credential, error) {
	return s.credential(s.URL, origins{
		flag: "secret-file", file: s.SecretFile, variable: "WEBHOOK_SECRET", development: "dev-webhook-secret",
	})
}

// token returns the bearer token of the operator API. The local stack and the servers have
// it as OPERATOR_TOKEN.
func (s *session) token() (credential, error) {
	return s.credential(s.API, origins{
		flag: "token-file", file: s.TokenFile, variable: "MAILROOM_TOKEN", local: "OPERATOR_TOKEN", development: "dev-operator-token",
	})
}

// credential reads a file if one is named, else the environment. It reads no .env: the one
// in the current folder may be of another program, or of another person.
func (s *session) credential(address string, from origins) (credential, error) {
	if from.file != "" {
		content, err := s.read(from.file)
		if err != nil {
			return credential{}, err
		}
		text := strings.TrimRight(string(content), "\r\n")
		if text == "" {
			return credential{}, usagef("--%s: the file is empty", from.flag)
		}
		return credential{text, fmt.Sprintf("came from the file %s (--%s)", from.file, from.flag)}, nil
	}

	if text := s.getenv(from.variable); text != "" {
		return credential{text, "came from the environment variable " + from.variable}, nil
	}
	if !loopback(address) {
		return credential{}, usagef("set %s or give --%s: the host is not loopback", from.variable, from.flag)
	}
	if from.local != "" {
		if text := s.getenv(from.local); text != "" {
			return credential{text, "came from the environment variable " + from.local}, nil
		}
	}
	return credential{from.development, fmt.Sprintf("was %s, development's own: neither --%s nor %s is set, and a .env file is not read",
		from.development, from.flag, from.variable)}, nil
}
