package api

import (
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/time/rate"

	"mailroom/ingress/guard"
	"mailroom/ingress/operator/access"
	"mailroom/shared/fault"
)

// How often an operator may export chains of custody. Each export is an entry of the
// audit chain, which only ever grows, and locks its head while it is read.
const (
	exportsOfEmail   = 3 // at once, and one more in each exportEvery
	exportEvery      = 20 * time.Minute
	exportsOfAnyone  = 60 // at once, and one more in each exportPause
	exportPause      = 2 * time.Second
	limitedExports   = 4096
	exportsAtATime   = 2
	exportTurnPause  = 5 * time.Second
	everyEmail       = 0
	longChecksAtOnce = 1
)

var (
	ownExports = guard.Limit{Burst: exportsOfEmail, Every: exportEvery, Keys: limitedExports}
	allExports = guard.Limit{Burst: exportsOfAnyone, Every: exportPause, Keys: limitedExports}
)

// custody exports an email's chain of custody.
type custody struct {
	finder
	auditor Auditor
	exports *exports
	now     func() time.Time
}

func (u *custody) export(c *gin.Context) error {
	email, _, err := u.find(c, fault.RequestInvalid)
	if err != nil {
		return err
	}
	if err := u.exports.allow(caller(c).Name, email.ID, u.now()); err != nil {
		return err
	}

	leave, err := enter(u.exports.turns)
	if err != nil {
		return err
	}
	defer leave()

	document, err := u.auditor.ExportCustody(c.Request.Context(), email.ID, caller(c).Name, string(access.Via(c)))
	if err != nil {
		return err
	}

	c.JSON(http.StatusOK, document)
	return nil
}

// exported is what exports are counted by: an operator, with an email or everyEmail.
type exported struct {
	actor string
	email int64
}

// exports bounds the exports of custody. It is safe for concurrent use.
type exports struct {
	mu     sync.Mutex
	limits guard.Limits[exported]
	turns  chan struct{}
}

func newExports() *exports {
	return &exports{limits: guard.Limits[exported]{}, turns: make(chan struct{}, exportsAtATime)}
}

// allow counts one export of an email by actor. It fails with fault.RateLimited and
// the time to wait.
func (e *exports) allow(actor string, email int64, now time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	own := e.limits.Of(exported{actor, email}, ownExports, now)
	all := e.limits.Of(exported{actor, everyEmail}, allExports, now)
	for _, limit := range []*rate.Limiter{all, own} {
		if wait := guard.Wait(limit, now); wait > 0 {
			return fault.New(fault.RateLimited, "you have just exported the custody of this email, or of many; each export is recorded in the audit chain").
				After(max(wait, time.Second))
		}
	}

	own.AllowN(now, 1)
	all.AllowN(now, 1)
	return nil
}

// enter takes one of turns, and fails where none is free.
func enter(turns chan struct{}) (leave func(), err error) {
	select {
	case turns <- struct{}{}:
		return func() { <-turns }, nil
	default:
		return nil, fault.New(fault.Overloaded, "other operators are exporting or checking the audit chain at the moment").After(exportTurnPause)
	}
}
