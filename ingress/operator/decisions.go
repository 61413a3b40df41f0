package operator

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"mailroom/ingress/operator/access"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
)

// maxDecision bounds the body of a decision in bytes: the longest note with
// every character escaped, and room for the rest.
const maxDecision = 6*contract.MaxNote + 1024

// decisionRequest is the body of a decision. Who decides is not in it.
type decisionRequest struct {
	Action contract.Action `json:"action"`
	Note   string          `json:"note"`
}

// decided answers a decision that was taken.
type decided struct {
	OK      bool            `json:"ok"`
	EventID string          `json:"event_id"`
	Source  string          `json:"source"`
	Action  contract.Action `json:"action"`
	State   contract.State  `json:"state"`
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
	who := caller(c)
	result, err := h.decider.Decide(c.Request.Context(), email.WorkflowID, contract.Decision{
		Action: in.Action, Actor: who.Name, Note: in.Note, Via: contract.ViaAPI,
	})
	if err != nil {
		return err
	}
	h.logger.Info("quarantine.decided", slog.String("event_id", email.EventID), slog.String("source", email.Source),
		slog.String("tenant", email.Tenant), slog.String("action", string(in.Action)),
		slog.String("actor", who.Name), slog.String("state", string(result.State)))
	c.JSON(http.StatusOK, decided{
		OK: true, EventID: email.EventID, Source: email.Source, Action: in.Action, State: result.State,
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
		return in, fault.New(fault.RequestInvalid, `a decision is one JSON object with the fields "action" and "note" and no others`)
	case !slices.Contains(contract.Actions, in.Action):
		return in, fault.Newf(fault.RequestInvalid, "action must be one of %v", contract.Actions)
	case strings.TrimSpace(in.Note) == "":
		return in, fault.New(fault.RequestInvalid, "note must say why")
	case len(in.Note) > contract.MaxNote:
		return in, fault.Newf(fault.RequestInvalid, "note has at most %d bytes", contract.MaxNote)
	case !access.Plain(strings.NewReplacer("\n", "", "\t", "").Replace(in.Note)):
		return in, fault.New(fault.RequestInvalid, "note must not hold control characters")
	}
	return in, nil
}
