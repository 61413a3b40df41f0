package clamav

import (
	"context"
	"strings"
	"sync"
	"time"
)

// Asking for the version must neither cost a call for each email nor delay one.
const (
	versionFor     = time.Minute // how long an answer is used
	versionTimeout = time.Second
)

// versions caches what clamd last answered to VERSION.
type versions struct {
	mu       sync.Mutex
	asking   chan struct{} // closed with the answer; nil while no request is under way
	asked    time.Time
	scanner  string
	database string
}

// Using returns the scanner and its database by clamd's last answer, which is at most
// a minute old while it answers. Only before the first answer a call waits, for a
// second at most; both are empty if there is none by then. clamd names the database
// in its folder, which it may not have loaded yet.
func (c *Client) Using(ctx context.Context) (scanner, database string) {
	v := &c.version
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.asked.IsZero() && c.now().Sub(v.asked) < versionFor {
		return v.scanner, v.database
	}
	if v.asking == nil {
		v.asking = make(chan struct{})
		go c.renew(context.WithoutCancel(ctx), v.asking)
	}
	if v.scanner == "" {
		answered := v.asking
		v.mu.Unlock()
		select {
		case <-answered:
		case <-ctx.Done():
		}
		v.mu.Lock()
	}

	return v.scanner, v.database
}

// renew asks clamd. A failure keeps the last answer, and counts as asked: the next
// request is made after versionFor as well.
func (c *Client) renew(ctx context.Context, answered chan<- struct{}) {
	ctx, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	answer, err := c.Version(ctx)
	v := &c.version
	v.mu.Lock()
	defer v.mu.Unlock()
	if scanner, database, ok := parseVersion(answer); err == nil && ok {
		v.scanner, v.database = scanner, database
	}
	v.asking, v.asked = nil, c.now()
	close(answered)
}

// parseVersion parses an answer to VERSION: the program and, after slashes, the number
// of its database and the time it was made. The latter two are missing while clamd has
// no database. An example:
//
//	ClamAV 1.0.7/27500/Tue Nov 24 09:26:15 2026
//
// The database is returned as "<number> of <time>", the time in UTC if it can be
// parsed, otherwise unchanged.
func parseVersion(answer string) (scanner, database string, ok bool) {
	scanner, number, made, ok := splitVersion(answer)
	switch {
	case !ok:
		return "", "", false
	case number == "" || strings.Trim(number, "0123456789") != "":
		return scanner, "", true
	case made == "":
		return scanner, number, true
	}
	if at, err := time.Parse(time.ANSIC, made); err == nil {
		made = at.Format("2006-01-02 15:04:05")
	}
	return scanner, number + " of " + made, true
}

// signaturesMade returns when the database that an answer to VERSION names was made.
// clamd writes it in the time zone of its machine, which is taken for UTC.
func signaturesMade(answer string) (time.Time, bool) {
	_, _, made, ok := splitVersion(answer)
	at, err := time.Parse(time.ANSIC, made)
	return at, ok && err == nil
}

// splitVersion returns the parts of an answer to VERSION, empty if missing; ok is
// false if it is not one of ClamAV.
func splitVersion(answer string) (scanner, number, made string, ok bool) {
	scanner, rest, _ := strings.Cut(answer, "/")
	scanner = strings.TrimSpace(scanner)
	number, made, _ = strings.Cut(rest, "/")
	return scanner, number, strings.TrimSpace(made), strings.HasPrefix(scanner, "ClamAV ")
}
