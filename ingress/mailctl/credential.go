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

// secret returns the webhook secret.
func (s *session) secret() (credential, error) {
	return s.credential("WEBHOOK_SECRET", "secret-file", s.SecretFile, s.URL, "dev-webhook-secret")
}

// token returns the bearer token of the operator API.
func (s *session) token() (credential, error) {
	return s.credential("MAILROOM_TOKEN", "token-file", s.TokenFile, s.API, "dev-operator-token")
}

// credential reads a file if one is named, else the environment. The value of
// development serves loopback addresses alone.
func (s *session) credential(variable, flag, file, address, development string) (credential, error) {
	if file != "" {
		content, err := s.read(file)
		if err != nil {
			return credential{}, err
		}
		text := strings.TrimRight(string(content), "\r\n")
		if text == "" {
			return credential{}, usagef("--%s: the file is empty", flag)
		}
		return credential{text, fmt.Sprintf("came from the file %s (--%s)", file, flag)}, nil
	}

	if text := s.getenv(variable); text != "" {
		return credential{text, "came from the environment variable " + variable}, nil
	}
	if !loopback(address) {
		return credential{}, usagef("set %s or give --%s: the host is not loopback", variable, flag)
	}
	origin := fmt.Sprintf("was %s, development's own: neither --%s nor %s is set", development, flag, variable)
	return credential{development, origin}, nil
}
