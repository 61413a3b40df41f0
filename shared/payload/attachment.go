package payload

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/go-faster/jx"

	"mailroom/shared/mail"
	"mailroom/shared/mime/filename"
)

// attachment reads one element of attachments.
func (s *schema) attachment() error {
	if s.d.Next() != jx.Object {
		return s.mismatch("an object")
	}

	a := mail.Attachment{DeclaredSize: -1}
	var checksum string
	given := false // there is a field with the content, readable or not
	err := s.object(func(name string) error {
		switch name {
		case "filename":
			return s.string(&a.Filename)
		case "content_type", "contentType":
			return s.string(&a.ContentType)
		case "size":
			return s.size(&a.DeclaredSize)
		case "checksum":
			if err := s.string(&checksum); err != nil {
				return err
			}
			s.checksum(&a, checksum)
			return nil
		case "content_id", "contentId":
			return s.string(&a.ContentID)
		case "content_base64", "dataBase64":
			given = given || s.d.Next() != jx.Null
			return s.base64(&a.Content)
		case "url":
			return s.string(&a.URL)
		default:
			return s.unknownField()
		}
	})
	if err != nil || !s.keep {
		return err
	}

	s.complete(&a, given)
	s.attachments = append(s.attachments, a)
	return nil
}

// checksum parses "sha256:<hex>"; no other algorithm can be checked.
func (s *schema) checksum(a *mail.Attachment, text string) {
	algorithm, sum, _ := strings.Cut(strings.TrimSpace(text), ":")
	sum = strings.ToLower(sum)
	switch {
	case text == "":
	case !strings.EqualFold(algorithm, "sha256"):
		s.problem("is of an algorithm other than sha256")
	case len(sum) != 2*sha256.Size || strings.Trim(sum, "0123456789abcdef") != "":
		s.problem("is not 64 hexadecimal digits")
	default:
		a.DeclaredSHA256 = sum
	}
}

// complete derives the rest of an attachment from its fields.
func (s *schema) complete(a *mail.Attachment, given bool) {
	a.Filename = filename.Clean(a.Filename, a.ContentType)
	a.ContentID = strings.Trim(a.ContentID, "<> \t")
	a.URL = strings.TrimSpace(a.URL)
	switch {
	case a.URL != "" && len(a.Content) == 0:
		a.Content = nil // empty content together with a link
	case a.Content != nil:
		a.URL = ""
		sum := sha256.Sum256(a.Content)
		a.Size, a.SHA256 = int64(len(a.Content)), hex.EncodeToString(sum[:])
	case !given:
		s.problem("has neither content nor url")
	}
}
