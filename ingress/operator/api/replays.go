package api

import (
	"net/http"
	"slices"
	"strconv"

	"github.com/gin-gonic/gin"

	"mailroom/ingress/operator/access"
	"mailroom/ingress/operator/batch"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// maxReplayBody bounds the body of a request for a replay in bytes.
const maxReplayBody = maxDecision + 16*maxParameter

// replays starts and controls replays and decisions about many emails.
type replays struct{ service *batch.Service }

func (r *replays) create(c *gin.Context) error {
	var in batch.Request
	if err := readBody(c, &in, requestOf(maxReplayBody)); err != nil {
		return err
	}
	row, err := r.service.Create(c.Request.Context(), caller(c), access.Via(c), in)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, row)
	return nil
}

// startRequest starts what a dry run has counted.
type startRequest struct {
	Count int64 `json:"count"` // what it has counted
}

// start answers a repeat like the first request: with the replay that was started.
func (r *replays) start(c *gin.Context) error {
	row, err := r.replay(c)
	if err != nil {
		return err
	}
	var in startRequest
	if err := readBody(c, &in, requestOf(maxParameter)); err != nil {
		return err
	}
	if row, err = r.service.Start(c.Request.Context(), caller(c), access.Via(c), row.ID, in.Count); err != nil {
		return err
	}
	c.JSON(http.StatusOK, row)
	return nil
}

// replay returns the replay that the path names, if the caller has the route's role
// in every tenant whose mail it may change.
func (r *replays) replay(c *gin.Context) (*ledger.ReplayRow, error) {
	id, err := strconv.ParseInt(c.Param("id"), 10, 64)
	if err != nil || id <= 0 {
		return nil, fault.New(fault.NotFound, "there is no such replay")
	}
	return r.service.Find(c.Request.Context(), caller(c), leastOf(c), id)
}

// replayPage is the answer of the list.
type replayPage struct {
	Replays    []ledger.ReplayRow `json:"replays"`
	NextCursor string             `json:"next_cursor"`
}

func (r *replays) list(c *gin.Context) error {
	q, err := parameters(c, "dry_runs", "cursor", "limit")
	if err != nil {
		return err
	}
	limit, err := limitOf(q["limit"])
	if err != nil {
		return err
	}
	if !slices.Contains([]string{"", "true", "false"}, q["dry_runs"]) {
		return fault.New(fault.RequestInvalid, "dry_runs must be true or false")
	}
	rows, next, err := r.service.List(c.Request.Context(), caller(c), access.Viewer, ledger.ReplayFilter{
		DryRuns: q["dry_runs"] == "true", Cursor: q["cursor"], Limit: limit,
	})
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, replayPage{Replays: append([]ledger.ReplayRow{}, rows...), NextCursor: next})
	return nil
}

func (r *replays) show(c *gin.Context) error {
	row, err := r.replay(c)
	if err != nil {
		return err
	}
	if err := r.service.Outcomes(c.Request.Context(), row); err != nil {
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

func (r *replays) items(c *gin.Context) error {
	row, err := r.replay(c)
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

	items, next, err := r.service.Items(c.Request.Context(), f)
	if err != nil {
		return err
	}

	c.JSON(http.StatusOK, itemPage{Items: append([]ledger.ReplayItem{}, items...), NextCursor: next})
	return nil
}

// control changes a running replay.
func (r *replays) control(name string) func(*gin.Context) error {
	return func(c *gin.Context) error {
		row, err := r.replay(c)
		if err != nil {
			return err
		}
		var rate *contract.ReplayRate
		if name == contract.ReplaySetRate {
			rate = &contract.ReplayRate{}
			if err := readBody(c, rate, requestOf(maxParameter)); err != nil {
				return err
			}
		}
		if row, err = r.service.Control(c.Request.Context(), caller(c), access.Via(c), row, name, rate); err != nil {
			return err
		}
		c.JSON(http.StatusOK, row)
		return nil
	}
}
