package secret

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestBlankTextIsNoSecret: it can be guessed.
func TestBlankTextIsNoSecret(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "\n", "\n\n", " ", "\t\r\n", "\ufeff", "\ufeff \n"} {
		_, err := trimmed(text)
		require.ErrorIs(t, err, ErrNothing, "%q", text)
	}
	text, err := trimmed(" a \n")
	require.NoError(t, err)
	require.Equal(t, " a ", text)
}
