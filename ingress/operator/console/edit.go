package console

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"mailroom/ingress/operator/access"
	"mailroom/ingress/operator/decision"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
)

// editPage is the form of an edit, and what the edit would change once asked.
type editPage struct {
	Email        *ledger.EmailDetail
	Destinations []string
	Charsets     []string
	Attachments  []mail.Attachment
	MoreAttached int
	Form         editForm
	Seen         string
	Changes      []ledger.Change
	Previewed    bool
}

// editForm is an edit as it was typed, so that a refused one is shown again.
type editForm struct {
	To         map[string]bool
	Drop       map[string]bool
	Recipients string // one a line
	Headers    string // "Name: value" a line; a name alone removes the header
	Fields     string // "from = to" a line
	Charset    string
	Note       string
}

// editPages edits an email that is held or waits.
type editPages struct {
	*emailPages
	editor Editor
}

// charsets are offered; the edit service checks what is sent.
var charsets = []string{"utf-8", "iso-8859-1", "iso-8859-15", "windows-1252", "windows-1251", "koi8-r", "iso-2022-jp", "shift_jis", "euc-jp", "gb18030", "big5", "euc-kr"}

// maxDroppable bounds the attachments that the form lists.
const maxDroppable = 100

// editable returns the email of the path if the caller may edit it.
func (h *editPages) editable(g *gin.Context) (*ledger.EmailDetail, error) {
	email, err := h.find(g)
	if err != nil {
		return nil, err
	}
	if access.From(g.Request.Context()).In(email.Tenant) < access.Operator {
		return nil, fault.New(fault.Forbidden, "editing this email needs the operator role in its tenant")
	}
	return email, nil
}

func (h *editPages) form(g *gin.Context) error {
	email, err := h.editable(g)
	if err != nil {
		return err
	}
	if email.State != contract.Quarantined && email.State != contract.Retrying {
		return h.show(g, http.StatusConflict, email, layout{Problem: "Only email that is held or waits can be edited. " + changed(email)}, "")
	}
	return h.showForm(g, http.StatusOK, email, editForm{}, layout{}, nil)
}

func (h *editPages) showForm(g *gin.Context, status int, email *ledger.EmailDetail, f editForm, l layout, changes []ledger.Change) error {
	l.Title, l.Area, l.Help = "Edit and try again", "inbox", "edits"
	l.Body = editPage{
		Email: email, Destinations: h.editor.Destinations(email.Tenant), Charsets: charsets, Form: f, Seen: seen(email),
		Attachments:  email.Attachments[:min(len(email.Attachments), maxDroppable)],
		MoreAttached: max(0, len(email.Attachments)-maxDroppable),
		Changes:      changes, Previewed: l.Problem == "" && changes != nil,
	}
	return h.render(g, status, "edit", l)
}

// preview shows what an edit would change or, once the person has confirmed that, sends
// it as the decision.
func (h *editPages) preview(g *gin.Context) error {
	if err := form(g); err != nil {
		return err
	}

	email, err := h.editable(g)
	if err != nil {
		return err
	}

	post := g.Request.PostForm
	typed := readEditForm(post)
	refused := func(status int, problem string) error {
		return h.showForm(g, status, email, typed, layout{Problem: problem}, nil)
	}
	if post.Get("seen") != seen(email) {
		return h.show(g, http.StatusConflict, email, layout{Problem: changed(email)}, typed.Note)
	}

	e, err := typed.edit()
	if err != nil {
		return refused(http.StatusBadRequest, fault.From(err).Public)
	}

	ctx := g.Request.Context()
	preview, err := h.editor.Preview(ctx, email.Email(), e)
	if err != nil {
		return refused(access.Status(err), fault.From(err).Public)
	}

	changes := preview.Changes
	if changes == nil {
		changes = []ledger.Change{}
	}
	if post.Get("confirmed") != "yes" {
		return h.showForm(g, http.StatusOK, email, typed, layout{}, changes)
	}
	if problem := badNote(typed.Note); problem != "" {
		return h.showForm(g, http.StatusBadRequest, email, typed, layout{Problem: problem}, changes)
	}

	in := decision.Request{Action: contract.Edited, Note: typed.Note, Edit: &e}
	if _, err := h.decisions.Decide(ctx, access.From(ctx), contract.ViaConsole, &email.EmailRow, in); err != nil {
		return refused(access.Status(err), fault.From(err).Public)
	}

	h.live.nudge()
	g.Redirect(http.StatusSeeOther, emailURL(email.EmailRow)+"&done=edit")
	return nil
}

func readEditForm(post url.Values) editForm {
	f := editForm{
		To: map[string]bool{}, Drop: map[string]bool{}, Charset: strings.TrimSpace(post.Get("charset")),
		Recipients: unixLines(post.Get("recipients")), Headers: unixLines(post.Get("headers")), Fields: unixLines(post.Get("fields")),
		Note: unixLines(post.Get("note")),
	}
	for _, name := range post["to"] {
		f.To[name] = true
	}
	for _, sum := range post["drop"] {
		f.Drop[sum] = true
	}
	return f
}

func unixLines(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }

// edit reads the form. Whether the edit fits the email is checked by the edit service.
func (f editForm) edit() (contract.Edit, error) {
	e := contract.Edit{
		Charset: f.Charset, Recipients: rows(f.Recipients),
		To: slices.Sorted(maps.Keys(f.To)), Drop: slices.Sorted(maps.Keys(f.Drop)),
	}

	for _, line := range rows(f.Headers) {
		name, value, has := strings.Cut(line, ":")
		if e.Headers == nil {
			e.Headers = map[string]*string{}
		}
		name = strings.TrimSpace(name)
		if _, twice := e.Headers[name]; twice || name == "" {
			return e, fault.New(fault.RequestInvalid, "Headers: each line is a name, a colon and a value, each name once; a name alone removes the header.")
		}
		e.Headers[name] = nil
		if value = strings.TrimSpace(value); has && value != "" {
			e.Headers[name] = &value
		}
	}

	for _, line := range rows(f.Fields) {
		from, to, ok := strings.Cut(line, "=")
		if from, to = strings.TrimSpace(from), strings.TrimSpace(to); !ok || from == "" || to == "" {
			return e, fault.New(fault.RequestInvalid, "Fields: each line is what the provider wrote, an equals sign, and the field that it should have been.")
		}
		if e.Fields == nil {
			e.Fields = map[string]string{}
		}
		e.Fields[from] = to
	}

	if len(e.To)+len(e.Drop)+len(e.Recipients)+len(e.Headers)+len(e.Fields) == 0 && e.Charset == "" {
		return e, fault.New(fault.RequestInvalid, "The edit changes nothing.")
	}

	return e, nil
}

// rows returns the lines that are not blank.
func rows(text string) []string {
	var out []string
	for line := range strings.SplitSeq(text, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}
