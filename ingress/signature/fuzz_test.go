package signature

import (
	"crypto/sha256"
	"encoding/hex"
	"math/big"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/config"
	"mailroom/shared/fault"
	"mailroom/shared/signing"
)

var (
	plainDecimal = regexp.MustCompile(`\A[0-9]{1,16}\z`)
	candidate    = regexp.MustCompile(`\A(?:(?:[vV]1|[sS][hH][aA]256)=)?([0-9a-fA-F]{64})\z`)
	separators   = regexp.MustCompile(`[, \t]+`)
)

// FuzzTimestamp compares the parser with a regular expression and big integers.
func FuzzTimestamp(f *testing.F) {
	for _, seed := range []string{
		"", "0", "1772366400", "1772366400000", "99999999999", "100000000000", "9999999999999999",
		"00000000000000001", "-1", "+1", "1e12", "NaN", "1.5", " 1", "1 ", "0x10", "1_0", "١٢٣",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := parseTimestamp(text)
		require.Equal(t, plainDecimal.MatchString(text), ok)
		if !ok {
			return
		}
		want, _ := new(big.Int).SetString(text, 10)
		if want.Cmp(big.NewInt(100_000_000_000)) < 0 {
			want.Mul(want, big.NewInt(1000))
		}
		require.Zero(t, want.Cmp(big.NewInt(got)), "%s read as %d", text, got)

		// Whatever the number, the window is what big integers say it is.
		now, tolerance := clock.UnixMilli(), int64(300_000)
		age := new(big.Int).Abs(new(big.Int).Sub(big.NewInt(now), want))
		require.Equal(t, age.Cmp(big.NewInt(tolerance)) <= 0, within(now, got, tolerance))
	})
}

// FuzzSignatureHeader compares the parser with a slow one built from a regular
// expression, and checks that no header passes without the key.
func FuzzSignatureHeader(f *testing.F) {
	sum := strings.Repeat("ab", sha256.Size)
	for _, seed := range []string{
		"", sum, strings.ToUpper(sum), "v1=" + sum, "sha256=" + sum, "V1=" + sum, "v2=" + sum,
		sum + "," + sum, sum + " " + sum, sum + ",\t" + sum, "v1,v1=" + sum, "t=1,v1=" + sum, "v1=v1=" + sum,
		"=" + sum, sum[:63], sum + "0", "\x00" + sum, strings.Repeat("a,", 17), strings.Repeat(sum+",", 16),
	} {
		f.Add(seed, "")
		f.Add("v1=00", seed)
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		lines := []string{first, second}
		require.Equal(t, slowSignatures(lines), parseSignatures(lines, Versions(TimestampHMACName)))

		s, err := NewTimestampHMAC([]Key{{Number: 1, Secret: config.NewSecret("never told")}}, 300e9)
		require.NoError(t, err)
		h := http.Header{
			signing.TimestampHeader: {"1772366400"},
			signing.SignatureHeader: lines,
		}
		v, err := s.Begin(h, clock)
		if err == nil {
			_, err = v.Verify()
		}
		require.True(t, fault.Is(err, fault.SignatureInvalid))
	})
}

// slowSignatures is the oracle of parseSignatures.
func slowSignatures(lines []string) [][sha256.Size]byte {
	joined := strings.Join(lines, ",")
	if len(joined)+1 > maxSignatureHeader {
		return nil
	}

	fields := separators.Split(strings.Trim(joined, ", \t"), -1)
	if len(fields) == 1 && fields[0] == "" {
		return nil
	}
	if len(fields) > maxSignatures {
		return nil
	}

	var out [][sha256.Size]byte
	for _, field := range fields {
		if m := candidate.FindStringSubmatch(field); m != nil {
			raw, err := hex.DecodeString(m[1])
			if err == nil {
				out = append(out, [sha256.Size]byte(raw))
			}
		}
	}

	return out
}
