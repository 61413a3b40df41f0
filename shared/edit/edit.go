package edit

import (
	"slices"
	"strings"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
)

// Step returns the earliest step that an edit affects.
func Step(e contract.Edit) contract.Step {
	switch {
	case len(e.Fields) > 0 || e.Charset != "":
		return contract.StepStore
	case len(e.Drop) > 0:
		return contract.StepInspect
	default:
		return contract.StepRoute
	}
}

// Names returns the names of the edit's fields that are set.
func Names(e contract.Edit) []string {
	names := []string{}
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"to", len(e.To) > 0}, {"recipients", len(e.Recipients) > 0}, {"headers", len(e.Headers) > 0},
		{"charset", e.Charset != ""}, {"drop", len(e.Drop) > 0}, {"fields", len(e.Fields) > 0},
	} {
		if f.set {
			names = append(names, f.name)
		}
	}
	return names
}

// Merge combines edits in the order in which they were applied: a later one wins, by
// header and by member, and dropped attachments stay dropped.
func Merge(edits ...contract.Edit) contract.Edit {
	var out contract.Edit
	for _, e := range edits {
		if len(e.To) > 0 {
			out.To = slices.Clone(e.To)
		}
		if len(e.Recipients) > 0 {
			out.Recipients = slices.Clone(e.Recipients)
		}
		if e.Charset != "" {
			out.Charset = e.Charset
		}
		for _, sum := range e.Drop {
			if sum = strings.ToLower(sum); !slices.Contains(out.Drop, sum) {
				out.Drop = append(out.Drop, sum)
			}
		}
		mergeHeaders(&out, e.Headers)
		mergeFields(&out, e.Fields)
	}

	return out
}

func mergeHeaders(out *contract.Edit, set map[string]*string) {
	for _, name := range sorted(set) {
		for earlier := range out.Headers {
			if strings.EqualFold(earlier, name) {
				delete(out.Headers, earlier)
			}
		}
		if out.Headers == nil {
			out.Headers = map[string]*string{}
		}
		out.Headers[name] = set[name]
	}
}

// mergeFields keeps one member for each target, the latest.
func mergeFields(out *contract.Edit, set map[string]string) {
	for _, from := range sorted(set) {
		for earlier, to := range out.Fields {
			if to == set[from] {
				delete(out.Fields, earlier)
			}
		}
		if out.Fields == nil {
			out.Fields = map[string]string{}
		}
		out.Fields[from] = set[from]
	}
}

// Manifest returns m after the edit, without dropped attachments. m is not changed; the
// result shares its attachments.
func Manifest(m ledger.Manifest, e contract.Edit) ledger.Manifest {
	if len(e.Recipients) > 0 {
		m.Recipients = slices.Clone(e.Recipients)
	}
	for _, name := range sorted(e.Headers) {
		value := e.Headers[name]
		switch strings.ToLower(name) {
		case "subject":
			m.Subject = text(value)
		case "message-id":
			m.MessageID = text(value)
		case "from": // a corrected sender is also the one that rules match
			if from := addresses(value); len(from) > 0 {
				m.Sender = from[0].Address
			}
		}
	}
	m.Attachments = Kept(m.Attachments, e)
	return m
}

// Kept returns the attachments that the edit does not drop, in order.
func Kept(list []mail.Attachment, e contract.Edit) []mail.Attachment {
	if len(e.Drop) == 0 {
		return list
	}
	out := make([]mail.Attachment, 0, len(list))
	for _, a := range list {
		if !Dropped(a, e) {
			out = append(out, a)
		}
	}
	return out
}

// Dropped reports whether the edit drops an attachment.
func Dropped(a mail.Attachment, e contract.Edit) bool {
	return a.SHA256 != "" && slices.ContainsFunc(e.Drop, func(sum string) bool { return strings.EqualFold(sum, a.SHA256) })
}
