package signature

import (
	"bytes"
	"io"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkVerify measures one verification of 4 KB per scheme, with one key.
func BenchmarkVerify(b *testing.B) {
	content := bytes.Repeat([]byte("4 KB of "), 512)
	for name, p := range parties {
		for _, sender := range []string{"a", "wrong"} {
			b.Run(name+"/"+map[string]string{"a": "good", "wrong": "bad"}[sender], func(b *testing.B) {
				s := p.scheme(b, Key{Number: 1, Secret: p.secret("a")})
				h := p.sign(p.key(sender), content)
				b.SetBytes(int64(len(content)))
				b.ReportAllocs()
				for b.Loop() {
					v, err := s.Begin(h, clock)
					if err != nil {
						continue // decided by the headers
					}
					_, _ = v.Write(content)
					_, _ = v.Verify()
				}
			})
		}
	}
}

// endless is a body without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// TestNoSchemeHoldsTheBody streams 25 MiB through every scheme.
func TestNoSchemeHoldsTheBody(t *testing.T) {
	for name, p := range parties {
		s := p.scheme(t, Key{Number: 1, Secret: p.secret("a")})
		buffer := make([]byte, 32<<10)
		v, err := s.Begin(p.sign(p.key("a"), nil), clock)
		require.NoError(t, err)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err = io.CopyBuffer(struct{ io.Writer }{v}, io.LimitReader(endless{}, 25<<20), buffer)
		require.NoError(t, err)
		_, _ = v.Verify()
		runtime.ReadMemStats(&after)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<10), name)
	}
}
