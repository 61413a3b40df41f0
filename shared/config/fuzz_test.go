package config

import (
	"context"
	"errors"
	"slices"
	"testing"
)

// Whatever the file holds, loading ends, and what it accepts is complete.
func FuzzLoad(f *testing.F) {
	f.Add(example)
	f.Add(ingressExample)
	f.Add("tenants: &a [*a]\n")
	f.Add("a: +5\nb: .5\nc: 1_0\nd: .inf\ne: 0x1p4\nf: 1e999\n? [x]\n: y\n<<: {g: h}\n")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := load(context.Background(), "m.yaml", []byte(text), RoleAll, resolver(environment(nil)), now())
		if err != nil {
			var invalid *Invalid
			if !errors.As(err, &invalid) || len(invalid.Mistakes) == 0 {
				t.Fatalf("not a list of mistakes: %v", err)
			}
			return
		}
		for _, s := range file.Sources {
			open := slices.Equal(s.Schemes, []string{"none"}) && s.Insecure
			if s.Tolerance <= 0 || s.MaxBody <= 0 || open != (len(s.Secrets) == 0) || !open && s.Secrets[0].Key.Reveal() == "" {
				t.Fatalf("accepted source is incomplete: %+v", s)
			}
		}
		for _, d := range file.Destinations {
			if d.Timeout <= 0 || d.MaxInFlight <= 0 || d.Breaker.OpenFor <= 0 || d.Secret.Key.Reveal() == "" {
				t.Fatalf("accepted destination is incomplete: %+v", d)
			}
		}
	})
}
