package config

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseBytes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Bytes{
		"0": 0, "1": 1, "65536": 65536, "10B": 10, "64KiB": 64 << 10, "25MiB": 25 << 20, "25 MiB": 25 << 20,
		"2GiB": 2 << 30, "1kB": 1000, "1KB": 1000, "3MB": 3e6, "1GB": 1e9, "9223372036854775807": math.MaxInt64,
	} {
		got, err := ParseBytes(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{
		"", "MiB", "-1", "+1", "1.5MiB", "1e3", "25mib", "25 apples", "1  MiB", " 1", "1MiBB", "0x10", "1_000",
		"9223372036854775808", "9007199254740992KiB", "99999999999GiB",
	} {
		_, err := ParseBytes(text)
		require.Error(t, err, text)
	}
}

func TestBytesPrint(t *testing.T) {
	t.Parallel()
	for want, b := range map[string]Bytes{
		"0B": 0, "1B": 1, "1000B": 1000, "64KiB": 64 << 10, "25MiB": 25 << 20, "1GiB": 1 << 30, "1025KiB": 1025 << 10,
	} {
		require.Equal(t, want, b.String())
		back, err := ParseBytes(b.String())
		require.NoError(t, err)
		require.Equal(t, b, back)
	}
}
