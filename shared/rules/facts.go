package rules

import (
	"mailroom/shared/contract"
	"mailroom/shared/edit"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
)

// Facts are what the rules look at.
type Facts struct {
	Recipients []string
	Sender     string
	Subject    string
	Headers    []mail.Header
	// Reported is what the provider said beside the mail. It is not verified.
	Reported mail.Reported
	Source   string
	Tenant   string
	// AnyRecipient lets recipients outside the tenant's domains count where there
	// are no others.
	AnyRecipient bool
	// EditedTo are the destinations that an edit names in place of those of the rules.
	EditedTo []string
	// Unedited are the facts before edits; nil where there are none.
	Unedited *Facts
}

// FactsOf returns the facts of a stored email with its edits, m.Overlay, laid over
// it: the one reading that routing, previews and the tester share. m and message are
// as they came; message may be nil where no rule needs headers.
func FactsOf(email contract.Email, m *ledger.Manifest, message *mail.Message) Facts {
	manifest, headers := *m, []mail.Header(nil)
	if message != nil {
		headers = message.Headers
	}
	f := Facts{Source: email.Source, Tenant: email.Tenant, Reported: m.Reported}
	if overlay := m.Overlay; overlay != nil {
		bare := *m
		bare.Overlay = nil
		unedited := FactsOf(email, &bare, message)
		f.Unedited = &unedited
		manifest = edit.Manifest(*m, *overlay)
		if message != nil {
			headers = edit.Message(*message, *overlay).Headers
		}
		f.EditedTo = overlay.To
	}

	f.Recipients, f.Sender, f.Subject, f.Headers = manifest.Recipients, manifest.Sender, manifest.Subject, headers
	return f
}
