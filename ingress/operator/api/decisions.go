package api

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"mailroom/ingress/operator/access"
	"mailroom/ingress/operator/decision"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
)

// maxDecision bounds the body of a decision in bytes: the longest note with
// every character escaped, and room for an edit.
const maxDecision = 6*contract.MaxNote + 256<<10

// decisionIs says what the body of a decision is.
const decisionIs = `is one JSON object with the fields "action" and "note", if need be "edit" or "from", and no others`

// decisions decides about one email.
type decisions struct {
	finder
	service *decision.Service
}

// decisionRequest is the body of a decision. The caller is not in it.
type decisionRequest struct {
	Action contract.Action `json:"action"`
	Note   string          `json:"note"`
	Edit   *contract.Edit  `json:"edit"`
	// From runs the email again from an earlier step, for the action retry.
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
	// Delivered are the destinations that had the email before it was discarded.
	Delivered []string `json:"delivered,omitempty"`
}

func (d *decisions) create(c *gin.Context) error {
	var in decisionRequest
	err := readBody(c, &in, bodyForm{Name: "a decision", Limit: maxDecision, Is: decisionIs})
	if err != nil {
		return err
	}

	email, _, err := d.find(c, fault.DecisionRefused)
	if err != nil {
		return err
	}

	result, err := d.service.Decide(c.Request.Context(), caller(c), access.Via(c), &email.EmailRow, decision.Request{
		Action: in.Action, Note: in.Note, Edit: in.Edit, From: in.From,
	})
	if err != nil {
		return err
	}

	c.JSON(http.StatusOK, decided{
		OK: true, EventID: email.EventID, Source: email.Source, Action: in.Action, State: result.State,
		Missing: result.Missing, Delivered: result.Delivered,
	})

	return nil
}
