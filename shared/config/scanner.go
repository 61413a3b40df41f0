package config

import (
	"fmt"
	"time"

	"go.yaml.in/yaml/v3"
)

// defaultSignatureAge is the default of max_signature_age.
const defaultSignatureAge = SignatureAge(7 * 24 * time.Hour)

// Scanner configures the search for malware. In YAML it is the word builtin, or a mapping.
type Scanner struct {
	// BuiltIn selects the built-in scanner if CLAMD_ADDRESS is not set. It
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
	return node.Decode((*mapping)(s)) //nolint:wrapcheck // the decoder continues after its own kind of error
}

// SignatureAge is an age, or SignatureAgeOff.
type SignatureAge time.Duration

// SignatureAgeOff accepts signatures of any age, and of unknown age. In YAML it is
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
