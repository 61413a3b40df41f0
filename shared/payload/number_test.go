package payload

import (
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNumbersAreExact compares with exact arithmetic.
func TestNumbersAreExact(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	digits := func(n int) string {
		var b strings.Builder
		for range n {
			b.WriteByte("00123456789"[r.IntN(11)])
		}
		return b.String()
	}
	whole := 0
	for range 50_000 {
		num := strings.TrimLeft(digits(r.IntN(18)), "0")
		if num == "" {
			num = "0"
		}
		if r.IntN(2) == 0 {
			num += "." + digits(1+r.IntN(6)) + strings.Repeat("0", r.IntN(3))
		}
		if r.IntN(2) == 0 {
			num += string("eE"[r.IntN(2)]) + []string{"", "+", "-"}[r.IntN(3)] + strconv.Itoa(r.IntN(24))
		}
		if r.IntN(5) == 0 {
			num = "-" + num
		}
		exact, ok := new(big.Rat).SetString(num)
		require.True(t, ok, num)
		require.Equal(t, exact.Sign() < 0, negative(num), num)
		fits := exact.IsInt() && exact.Sign() >= 0 && exact.Cmp(big.NewRat(MaxSize, 1)) <= 0
		n, ok := wholeNumber(num)
		require.Equal(t, fits, ok, num)
		if ok {
			whole++
			require.Equal(t, exact.Num().Int64(), n, num)
		}
	}
	require.Greater(t, whole, 5000)
}
