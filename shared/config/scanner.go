package config

import (
	"fmt"
	"time"

	"go.yaml.in/yaml/v3"
)

// defaultSignatureAge is how old the scanner's signatures may be where the file says
// nothing.
const defaultSignatureAge = SignatureAge(7 * 24 * time.Hour)

// Scanner says what looks for malware. In YAML it is the word builtin, or a mapping.
type Scanner struct {
	// BuiltIn lets the built-in scanner serve where CLAMD_ADDRESS is not set. It
	// knows the EICAR test file and is for development alone; without it the worker
	// refuses to start.
	BuiltIn bool `yaml:"builtin"`
	// MaxSignatureAge is how old clamd's signatures may be; default 168h. While they
	// are older, or of unknown age, mail waits.
	MaxSignatureAge SignatureAge `yaml:"max_signature_age"`
}

// builtIn is the word for the built-in scanner.
const builtIn = "builtin"

// UnmarshalYAML reads the word builtin, or a mapping.
func (s *Scanner) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode && node.Value == builtIn {
		*s = Scanner{BuiltIn: true}
		return nil
	}
	type mapping Scanner              // without this method
	return node.Decode((*mapping)(s)) //nolint:wrapcheck // the decoder goes on after its own kind of error
}

// SignatureAge is an age, or SignatureAgeOff.
type SignatureAge time.Duration

// SignatureAgeOff lets signatures of any age serve, and of unknown age. In YAML it is
// the word off.
const SignatureAgeOff SignatureAge = -1

// UnmarshalYAML reads a duration, or off.
func (a *SignatureAge) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode && node.Value == "off" {
		*a = SignatureAgeOff
		return nil
	}
	d, err := time.ParseDuration(node.Value)
	if err != nil {
		return mistyped(node, fmt.Sprintf("%q is neither a duration such as 168h nor off", node.Value))
	}
	*a = SignatureAge(d)
	return nil
}

func (s *Scanner) applyDefaults() { orDefault(&s.MaxSignatureAge, defaultSignatureAge) }
