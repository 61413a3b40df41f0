package mailctl

import (
	"encoding/json"
	"fmt"

	"mailroom/shared/mail"
	"mailroom/shared/mime"
)

type mimeCommand struct {
	File string `arg:"" help:"Raw mail (.eml); - is stdin."`
}

// parsedMail is the output of mime. Its lists are never null; defects are left out where
// there are none.
type parsedMail struct {
	Subject     string           `json:"subject"`
	From        []parsedAddress  `json:"from"`
	To          []parsedAddress  `json:"to"`
	Cc          []parsedAddress  `json:"cc"`
	Text        string           `json:"text"`
	HTML        string           `json:"html"`
	Attachments []parsedDocument `json:"attachments"`
	Defects     []string         `json:"defects,omitempty"`
	Malformed   string           `json:"malformed,omitempty"` // the limit that cut the mail
}

type parsedAddress struct {
	Address string `json:"address"`
	Name    string `json:"name"`
}

type parsedDocument struct {
	Filename    string `json:"filename"`
	ContentType string `json:"content_type"`
	ContentID   string `json:"content_id"`
	Size        int64  `json:"size"`
	SHA256      string `json:"sha256"`
}

// Run prints JSON either way: indented for people, on one line with -o json.
func (c *mimeCommand) Run(s *session) error {
	raw, err := s.read(c.File)
	if err != nil {
		return err
	}

	parsed, err := mime.Parse(raw)
	if err != nil {
		return fmt.Errorf("parse: %w", err)
	}

	out := parsedMail{
		Subject: parsed.Message.Subject, Text: parsed.Message.Text, HTML: parsed.Message.HTML,
		From: addresses(parsed.Message.From), To: addresses(parsed.Message.To), Cc: addresses(parsed.Message.Cc),
		Attachments: make([]parsedDocument, 0, len(parsed.Attachments)), Defects: parsed.Message.Defects,
	}
	if parsed.Malformed != nil {
		out.Malformed = parsed.Malformed.Reason
	}

	for _, a := range parsed.Attachments {
		out.Attachments = append(out.Attachments, parsedDocument{
			Filename: a.Filename, ContentType: a.ContentType, ContentID: a.ContentID, Size: a.Size, SHA256: a.SHA256,
		})
	}

	if s.json() {
		return s.printJSON(out)
	}

	text, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}

	return s.printf("%s\n", harmless(string(text)))
}

func addresses(list []mail.Address) []parsedAddress {
	out := make([]parsedAddress, 0, len(list))
	for _, a := range list {
		out = append(out, parsedAddress{Address: a.Address, Name: a.Name})
	}
	return out
}
