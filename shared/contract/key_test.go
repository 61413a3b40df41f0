package contract_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/contract"
)

// TestObjectKeys: objects that were written are found under these names for ever.
func TestObjectKeys(t *testing.T) {
	t.Parallel()
	sum := [32]byte{0xab, 0x01}
	name := "ab01" + strings.Repeat("0", 60)
	require.Equal(t, "body/ab/"+name, contract.BodyKey(sum))
	require.Equal(t, "body/ab/"+name+"-7d4e5a76eae6d8c165410ac19fe67565", contract.EventBodyKey(sum, "evt_1"))
	require.NotEqual(t, contract.EventBodyKey(sum, "evt_1"), contract.EventBodyKey(sum, "other/evt_1"), "what one event has no other has")
	require.Equal(t, "mime/ab/"+name, contract.MIMEKey(sum))
	require.Equal(t, "ab/"+name, contract.AttachmentKey(sum))
	require.Equal(t, "message/42/"+name, contract.MessageKey(42, sum))
}
