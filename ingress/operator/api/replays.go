package api

import (
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"

	"mailroom/ingress/operator/access"
	"mailroom/ingress/operator/batch"
	"mailroom/ingress/operator/body"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// maxReplayBody bounds the body of a request for a replay in bytes.
const maxReplayBody = maxDecision + 16*maxParameter

// replayRoutes are about replays and decisions about many emails.
func (h *handler) replayRoutes() []access.Route {
	if h.replays == nil {
		return nil
	}
	const one = "/api/v1/replays/:id"
	return []access.Route{
		{Method: http.MethodPost, Path: "/api/v1/replays", Least: access.Operator, Handle: h.createReplay},
		{Method: http.MethodGet, Path: "/api/v1/replays", Least: access.Viewer, Handle: h.listReplays},
		{Method: http.MethodGet, Path: one, Least: access.Viewer, Handle: h.showReplay},
		{Method: http.MethodGet, Path: one + "/items", Least: access.Viewer, Handle: h.listReplayItems},
		{Method: http.MethodPost, Path: one + "/start", Least: access.Operator, Handle: h.startReplay},
		{Method: http.MethodPost, Path: one + "/pause", Least: access.Operator, Handle: h.controlReplay(contract.ReplayPause)},
		{Method: http.MethodPost, Path: one + "/resume", Least: access.Operator, Handle: h.controlReplay(contract.ReplayResume)},
		{Method: http.MethodPost, Path: one + "/stop", Least: access.Operator, Handle: h.controlReplay(contract.ReplayStop)},
		{Method: http.MethodPost, Path: one + "/rate", Least: access.Operator, Handle: h.controlReplay(contract.ReplaySetRate)},
	}
}

func (h *handler) createReplay(c *gin.Context) error {
	var in batch.Request
	if err := body.Read(c, &in, requestOf(maxReplayBody)); err != nil {
		return err
	}
	row, err := h.replays.Create(c.Request.Context(), caller(c), access.Via(c), in)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, row)
	return nil
}

// startRequest begins for real what a dry run has counted.
type startRequest struct {
	Count int64 `json:"count"` // what it has counted
}

// startReplay answers a repeat as the first request: with the replay that was started.
func (h *handler) startReplay(c *gin.Context) error {
	row, err := h.replayOf(c)
	if err != nil {
		return err
	}
	var in startRequest
	if err := body.Read(c, &in, requestOf(maxParameter)); err != nil {
		return err
	}
	if row, err = h.replays.Start(c.Request.Context(), caller(c), access.Via(c), row.ID, in.Count); err != nil {
		return err
	}
	c.JSON(http.StatusOK, row)
	return nil
}

// replayOf gives the replay that the path names, if the caller has the route's role
// in every tenant that it may touch.
func (h *handler) replayOf(c *gin.Context) (*ledger.ReplayRow, error) {
	id, err := strconv.ParseInt(c.Param("id"), 10, 64)
	if err != nil || id <= 0 {
		return nil, fault.New(fault.NotFound, "there is no such replay")
	}
	return h.replays.Find(c.Request.Context(), caller(c), leastOf(c), id)
}

// replayPage is the answer of the list.
type replayPage struct {
	Replays    []ledger.ReplayRow `json:"replays"`
	NextCursor string             `json:"next_cursor"`
}

func (h *handler) listReplays(c *gin.Context) error {
	q, err := parameters(c, "cursor", "limit")
	if err != nil {
		return err
	}
	limit, err := limitOf(q["limit"])
	if err != nil {
		return err
	}
	rows, next, err := h.replays.List(c.Request.Context(), caller(c), access.Viewer, q["cursor"], limit)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, replayPage{Replays: append([]ledger.ReplayRow{}, rows...), NextCursor: next})
	return nil
}

func limitOf(text string) (int, error) {
	if text == "" {
		return ledger.DefaultLimit, nil
	}
	limit, err := strconv.Atoi(text)
	if err != nil || limit < 1 || limit > ledger.MaxLimit {
		return 0, fault.Newf(fault.RequestInvalid, "limit must be a number from 1 to %d", ledger.MaxLimit)
	}
	return limit, nil
}

func (h *handler) showReplay(c *gin.Context) error {
	row, err := h.replayOf(c)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, row)
	return nil
}

// itemPage is the answer of the list of a replay's emails.
type itemPage struct {
	Items      []ledger.ReplayItem `json:"items"`
	NextCursor string              `json:"next_cursor"`
}

func (h *handler) listReplayItems(c *gin.Context) error {
	row, err := h.replayOf(c)
	if err != nil {
		return err
	}
	q, err := parameters(c, "state", "code", "cursor", "limit")
	if err != nil {
		return err
	}
	f := ledger.ReplayItemFilter{
		ReplayID: row.ID, State: ledger.ReplayItemState(q["state"]), Code: ledger.ReplayCode(q["code"]), Cursor: q["cursor"],
	}
	if f.Limit, err = limitOf(q["limit"]); err != nil {
		return err
	}
	items, next, err := h.replays.Items(c.Request.Context(), f)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, itemPage{Items: append([]ledger.ReplayItem{}, items...), NextCursor: next})
	return nil
}

// controlReplay answers what changes a replay that is under way.
func (h *handler) controlReplay(name string) func(*gin.Context) error {
	return func(c *gin.Context) error {
		row, err := h.replayOf(c)
		if err != nil {
			return err
		}
		var rate *contract.ReplayRate
		if name == contract.ReplaySetRate {
			rate = &contract.ReplayRate{}
			if err := body.Read(c, rate, requestOf(maxParameter)); err != nil {
				return err
			}
		}
		if row, err = h.replays.Control(c.Request.Context(), caller(c), access.Via(c), row, name, rate); err != nil {
			return err
		}
		c.JSON(http.StatusOK, row)
		return nil
	}
}

// requestOf is the form of a request about replays.
func requestOf(limit int64) body.Form {
	return body.Form{Name: "the request", Limit: limit, Is: "is one JSON object with the documented fields and no others"}
}
