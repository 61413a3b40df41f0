package config

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestScanner(t *testing.T) {
	t.Parallel()
	week := SignatureAge(7 * 24 * time.Hour)
	for text, want := range map[string]Scanner{
		"":                                    {MaxSignatureAge: week},
		"scanner: builtin\n":                  {BuiltIn: true, MaxSignatureAge: week},
		"scanner: \"builtin\"\n":              {BuiltIn: true, MaxSignatureAge: week},
		"scanner: {builtin: true}\n":          {BuiltIn: true, MaxSignatureAge: week},
		"scanner: {max_signature_age: 36h}\n": {MaxSignatureAge: SignatureAge(36 * time.Hour)},
		"scanner: {max_signature_age: off}\n": {MaxSignatureAge: SignatureAgeOff},
		"scanner:\n  max_signature_age: off\n  builtin: true": {BuiltIn: true, MaxSignatureAge: SignatureAgeOff},
	} {
		f, err := load(t.Context(), "m.yaml", []byte(example+text), RoleAll, resolver(environment(nil)), now())
		require.NoError(t, err, text)
		require.Equal(t, want, f.Scanner, text)
	}
	for text, want := range map[string]string{
		"scanner: clamd\n":                      "scanner: must be builtin, or a mapping with builtin and max_signature_age",
		"scanner: off\n":                        "scanner: must be builtin, or a mapping with builtin and max_signature_age",
		"scanner: true\n":                       "scanner: must be builtin, or a mapping with builtin and max_signature_age",
		"scanner: {max_signature_age: never}\n": "scanner.max_signature_age: must be a duration above zero with its unit, such as 168h, or off",
		"scanner: {max_signature_age: 0s}\n":    "scanner.max_signature_age: must be a duration above zero with its unit, such as 168h, or off",
		"scanner: {max_signature_age: false}\n": "scanner.max_signature_age: must be a duration above zero with its unit, such as 168h, or off",
		"scanner: {clamd: x}\n":                 "scanner.clamd: is not a field that Mailroom knows",
	} {
		require.Equal(t, []string{want}, mistakes(t, example+text, nil), text)
	}
}
