package edit

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"

	"mailroom/shared/ledger"
)

// Judged returns the hex SHA-256 of what an inspection of m examines: the stored mail
// and its attachments, without those that m.Overlay drops. It does not depend on
// verdicts, nor on edited recipients, headers or destinations. Manifests of the same
// mail have the same hash.
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

// digest hashes texts and numbers with their lengths, so that different lists have
// different bytes.
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
