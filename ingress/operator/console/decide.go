package console

import (
	"net/http"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"mailroom/ingress/operator/access"
	"mailroom/ingress/operator/decision"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/reason"
)

// maxForm bounds the body of a form in bytes.
const maxForm = 64 << 10

// confirmPage asks for a confirmation where there is no JavaScript.
type confirmPage struct {
	Email  *ledger.EmailDetail
	Choice choice
	Seen   string
	Note   string
}

// form reads the fields of a posted form.
func form(g *gin.Context) error {
	g.Request.Body = http.MaxBytesReader(g.Writer, g.Request.Body, maxForm)
	if err := g.Request.ParseForm(); err != nil {
		return fault.Wrap(fault.RequestInvalid, "the form cannot be read, or is too large", err)
	}
	return nil
}

// decide carries out a decision about one email that is held or waits. A refusal is shown on the email's
// page, with the note that was typed.
func (h *emailPages) decide(g *gin.Context) error {
	if err := form(g); err != nil {
		return err
	}

	email, err := h.find(g)
	if err != nil {
		return err
	}

	who := access.From(g.Request.Context())
	if who.In(email.Tenant) < access.Operator {
		return fault.New(fault.Forbidden, "deciding about this email needs the operator role in its tenant")
	}

	post := g.Request.PostForm
	action, note := contract.Action(post.Get("action")), strings.ReplaceAll(post.Get("note"), "\r\n", "\n")
	if !slices.Contains(contract.Actions, action) || action == contract.Edited {
		return fault.New(fault.RequestInvalid, "the action must be approve, retry, hold or discard")
	}

	refused := func(status int, problem string) error {
		return h.show(g, status, email, layout{Problem: problem}, note)
	}
	if problem := badNote(note); problem != "" {
		return refused(http.StatusBadRequest, problem)
	}
	if post.Get("seen") != seen(email) {
		return refused(http.StatusConflict, changed(email))
	}

	list := choicesFor(&email.EmailRow, explained(email))
	at := slices.IndexFunc(list, func(c choice) bool { return c.Action == action })
	if at < 0 {
		return refused(http.StatusConflict, changed(email))
	}
	if post.Get("confirmed") != "yes" {
		return h.render(g, http.StatusOK, "confirm", layout{Title: list[at].Ask(), Area: "inbox",
			Body: confirmPage{Email: email, Choice: list[at], Seen: post.Get("seen"), Note: note}})
	}

	result, err := h.decisions.Decide(g.Request.Context(), who, contract.ViaConsole, &email.EmailRow, decision.Request{Action: action, Note: note})
	if err != nil {
		return refused(access.Status(err), fault.From(err).Public)
	}

	h.live.nudge()
	done := string(action)
	switch {
	case result.Missing > 0:
		done = "counted"
	case action == contract.Retry && email.State == contract.Retrying:
		done = "tried"
	}

	g.Redirect(http.StatusSeeOther, emailURL(email.EmailRow)+"&done="+done)
	return nil
}

// badNote says what is wrong with a note, empty when nothing is.
func badNote(note string) string {
	err := contract.CheckNote(note)
	if err == nil {
		return ""
	}
	return strings.ToUpper(err.Error()[:1]) + err.Error()[1:] + "."
}

// changed says what happened to an email since an outdated page was loaded.
func changed(email *ledger.EmailDetail) string {
	text := "This email has changed since you looked; nothing was decided. It is now " + words(email.State.Word())
	if email.State == contract.Quarantined {
		text += " (" + words(string(email.Reason)) + ")"
	}
	if n := len(email.Decisions); n > 0 {
		d := email.Decisions[n-1]
		text += ": " + reason.Decided(contract.Decided{
			Action: d.Action, Actor: d.Actor, Via: contract.Via(d.Via), AtUnixMilli: d.At.UnixMilli(),
		})
	}
	return text + "."
}
