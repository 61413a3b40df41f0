package clamav

import (
	"context"
	"strings"
	"sync"
	"time"
)

// Asking for the version must neither cost each email a call nor hold one up.
const (
	versionFor     = time.Minute // how long an answer is believed
	versionTimeout = time.Second
)

// versions remembers what clamd said of itself.
type versions struct {
	mu       sync.Mutex
	asking   chan struct{} // closed with the answer; nil while nobody asks
	asked    time.Time
	scanner  string
	database string
}

// Using names the scanner and its database as clamd last said them, which is at
// most a minute ago while it answers. Only where clamd has never said it yet a call
// waits, for a second at most; both are empty if that is in vain. clamd names the
// database in its folder: it may be about to load it.
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

// renew asks clamd. An answer that is none leaves what was known, and is not asked
// for again for a while either.
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

// parseVersion reads an answer to VERSION: the program, and behind slashes the
// number of its database and when that was made, which are missing while clamd has
// none, as in
//
//	ClamAV 1.0.7/27500/Tue Nov 24 09:26:15 2026
//
// The database is given as "<number> of <time>", the time in UTC where it can be
// read, else as it came.
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
// clamd says it in the time zone of its machine, which is taken for UTC.
func signaturesMade(answer string) (time.Time, bool) {
	_, _, made, ok := splitVersion(answer)
	at, err := time.Parse(time.ANSIC, made)
	return at, ok && err == nil
}

// splitVersion returns the parts of an answer to VERSION, empty where they are missing;
// ok is false where it is not ClamAV's.
func splitVersion(answer string) (scanner, number, made string, ok bool) {
	scanner, rest, _ := strings.Cut(answer, "/")
	scanner = strings.TrimSpace(scanner)
	number, made, _ = strings.Cut(rest, "/")
	return scanner, number, strings.TrimSpace(made), strings.HasPrefix(scanner, "ClamAV ")
}
