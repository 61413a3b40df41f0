package clamav

import "time"

// ParseVersion parses an answer as Using does.
var ParseVersion = parseVersion

// SetNow replaces the clock before the client is used.
func (c *Client) SetNow(now func() time.Time) { c.now = now }

// SetNow replaces the clock before the guard is used.
func (g *Guard) SetNow(now func() time.Time) { g.now = now }
