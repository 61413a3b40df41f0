package operator

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"

	"github.com/gin-gonic/gin"

	"mailroom/ingress/operator/desk"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
)

// maxDecision bounds the body of a decision in bytes: the longest note with
// every character escaped, and room for an edit.
const maxDecision = 6*contract.MaxNote + 256<<10

// decisionRequest is the body of a decision. Who decides is not in it.
type decisionRequest struct {
	Action contract.Action `json:"action"`
	Note   string          `json:"note"`
	Edit   *contract.Edit  `json:"edit"`
	// From takes the email up at an earlier step, for the action retry.
	From contract.Step `json:"from"`
}

// decided answers a decision that was taken.
type decided struct {
	OK      bool            `json:"ok"`
	EventID string          `json:"event_id"`
	Source  string          `json:"source"`
	Action  contract.Action `json:"action"`
	State   contract.State  `json:"state"`
	// Missing is how many more people have to approve before the email goes on.
	Missing int `json:"missing"`
}

func (h *handler) decide(c *gin.Context) error {
	in, err := readDecision(c)
	if err != nil {
		return err
	}
	email, _, err := h.find(c, fault.DecisionRefused)
	if err != nil {
		return err
	}
	result, err := h.desk.Decide(c.Request.Context(), caller(c), viaOf(c), &email.EmailRow, desk.Request{
		Action: in.Action, Note: in.Note, Edit: in.Edit, From: in.From,
	})
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, decided{
		OK: true, EventID: email.EventID, Source: email.Source, Action: in.Action, State: result.State,
		Missing: result.Missing,
	})
	return nil
}

// readDecision reads and checks the body. It says what is wrong and never
// repeats what was sent.
func readDecision(c *gin.Context) (decisionRequest, error) {
	var in decisionRequest
	if media, _, err := mime.ParseMediaType(c.GetHeader("Content-Type")); err != nil || media != "application/json" {
		return in, fault.New(fault.ContentTypeInvalid, "a decision is sent as application/json")
	}
	decoder := json.NewDecoder(http.MaxBytesReader(c.Writer, c.Request.Body, maxDecision))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&in)
	if err == nil {
		if _, trailing := decoder.Token(); !errors.Is(trailing, io.EOF) {
			err = errors.New("more than one value")
		}
	}
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return in, fault.Newf(fault.BodyTooLarge, "a decision has at most %d bytes", maxDecision)
	case err != nil:
		return in, fault.New(fault.RequestInvalid, `a decision is one JSON object with the fields "action" and "note", if need be "edit" or "from", and no others`)
	}
	return in, nil
}
