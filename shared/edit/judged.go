package edit

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"

	"mailroom/shared/ledger"
)

// Judged returns the hex SHA-256 of what an inspection of m judges: the stored mail
// and its attachments, but for those that m.Overlay drops. Verdicts are no part of it,
// and neither is what an edit changes of recipients, headers or destinations. Two
// manifests of the same mail have the same one.
func Judged(m *ledger.Manifest) string {
	d := digest{sha256.New()}
	d.text(m.RawKey, m.MIMEKey, m.MessageKey, string(m.Message))
	list := m.Attachments
	if m.Overlay != nil {
		list = Kept(list, *m.Overlay)
	}
	d.number(int64(len(list)))
	for i := range list {
		a := &list[i]
		d.text(a.Filename, a.ContentType, a.ContentID, a.URL, a.Key, a.SHA256)
		d.number(a.Size)
	}
	return hex.EncodeToString(d.Sum(nil))
}

// digest hashes texts and numbers so that no two lists of them give the same bytes.
type digest struct{ hash.Hash }

func (d digest) text(list ...string) {
	for _, s := range list {
		d.number(int64(len(s)))
		_, _ = d.Write([]byte(s)) // never fails
	}
}

func (d digest) number(n int64) {
	_, _ = d.Write(binary.BigEndian.AppendUint64(nil, uint64(n))) //nolint:gosec // a length
}
