package api

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// finder finds the email that a request is about.
type finder struct{ reader Reader }

// anySource lets find choose among sources that use the same event id.
const anySource fault.Code = ""

// find returns the email that the path names, by its event id or by its number, with
// the other parameters of the query, of which only those in allowed are accepted. Only
// emails of tenants in which the caller has a role are found. An id that means several
// of them is refused with the code ambiguous unless the query names a source that has
// just one; with anySource the newest of them is returned, which is enough for reading.
func (f finder) find(c *gin.Context, ambiguous fault.Code, allowed ...string) (*ledger.EmailDetail, map[string]string, error) {
	look, q, err := f.lookup(c, ambiguous, allowed...)
	if err != nil {
		return nil, nil, err
	}

	email, err := f.reader.FindEmail(c.Request.Context(), look)
	if err != nil {
		return nil, nil, err
	}
	if err := caller(c).Require(email.Tenant, leastOf(c), noEmail); err != nil {
		return nil, nil, err
	}
	return email, q, nil
}

// noEmail answers for an email that does not exist, and for one of another tenant.
const noEmail = "no email with this id"

// lookup reads what the path and the query name, within the caller's tenants.
func (f finder) lookup(c *gin.Context, ambiguous fault.Code, allowed ...string) (l ledger.Lookup, q map[string]string, err error) {
	l.Tenants = tenantsOf(c)
	if text := c.Param("number"); text != "" {
		if q, err = parameters(c, allowed...); err != nil {
			return l, nil, err
		}
		if l.Number, err = strconv.ParseInt(text, 10, 64); err != nil || l.Number < 1 {
			return l, nil, fault.New(fault.NotFound, noEmail)
		}
		return l, q, nil
	}

	if l.EventID, err = pathValue(c, "event_id"); err != nil {
		return l, nil, err
	}
	if q, err = parameters(c, append(allowed, "source")...); err != nil {
		return l, nil, err
	}
	l.Source = q["source"]
	if ambiguous != anySource {
		l, err = f.only(c, ambiguous, l)
	}
	return l, q, err
}

// only turns a lookup into one of the single email that it means, by its number, so that
// a second email that arrives meanwhile does not change its meaning.
func (f finder) only(c *gin.Context, ambiguous fault.Code, l ledger.Lookup) (ledger.Lookup, error) {
	matches, err := f.reader.Matches(c.Request.Context(), l)
	switch {
	case err != nil:
		return l, err
	case len(matches) == 0:
		return l, fault.New(fault.NotFound, noEmail)
	case len(matches) == 1:
		return ledger.Lookup{Number: matches[0].Number, Tenants: l.Tenants}, nil
	}

	names := make([]string, len(matches))
	for i, m := range matches {
		names[i] = fmt.Sprintf("%d (%s)", m.Number, m.Source)
	}
	return l, fault.New(ambiguous, "this id means more than one email: name one by its source (?source=, --source) or by its number: "+strings.Join(names, ", "))
}
