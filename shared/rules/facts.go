package rules

import (
	"mailroom/shared/contract"
	"mailroom/shared/edit"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
)

// Facts are the properties of a mail that the rules match.
type Facts struct {
	Recipients []string
	Sender     string
	Subject    string
	Headers    []mail.Header
	// Reported is what the provider reports about the mail. It is not verified.
	Reported mail.Reported
	Source   string
	Tenant   string
	// AnyRecipient includes recipients outside the tenant's domains if there are no
	// others.
	AnyRecipient bool
	// EditedTo are the destinations that an edit names instead of those of the rules.
	EditedTo []string
	// Unedited are the facts before edits; nil if there are no edits.
	Unedited *Facts
}

// FactsOf returns the facts of a stored email with its edits, m.Overlay, applied.
// Routing, previews and the rule tester all use it. m and message are without edits;
// message may be nil if no rule needs headers.
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
