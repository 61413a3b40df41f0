package rules

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"mailroom/shared/config"
)

// versionLength is the number of hex digits of a version, enough to be unique within
// an installation.
const versionLength = 16

// Version identifies the rules. The same routes, tenants and destinations have the same
// version on every machine, and every change that could route mail differently changes
// it.
func (r *Rules) Version() string { return r.version }

// versionOf returns the beginning of the SHA-256 of routes, tenants, destinations and
// what to do with unmatched recipients as JSON, in order, with the names and tenants of
// destinations alone.
func versionOf(routes []config.Route, tenants []config.Tenant, destinations []config.Destination, holdUnmatched bool) string {
	type when struct {
		Recipient, Tag, Sender, Subject, Source, Tenant string
		Header                                          map[string]string
		Reported                                        map[string]string `json:",omitempty"`
	}

	type rule struct {
		Name string
		When when
		To   []string
		Hold bool
	}

	type owner struct {
		Name          string
		Domains       []string
		CaseSensitive bool
	}

	type served struct {
		Name    string
		Tenants []string
	}

	var all struct {
		Routes       []rule
		Tenants      []owner
		Destinations []served
		Unmatched    string `json:",omitempty"`
	}
	if holdUnmatched {
		all.Unmatched = config.UnmatchedHold
	}

	for _, r := range routes {
		w := r.When
		all.Routes = append(all.Routes, rule{
			Name: r.Name, To: r.To, Hold: r.Hold,
			When: when{w.Recipient, w.Tag, w.Sender, w.Subject, w.Source, w.Tenant, w.Header, Reported(w)},
		})
	}

	for _, t := range tenants {
		all.Tenants = append(all.Tenants, owner{t.Name, t.Domains, t.CaseSensitive})
	}

	for _, d := range destinations {
		all.Destinations = append(all.Destinations, served{d.Name, d.Tenants})
	}

	text, err := json.Marshal(all)
	if err != nil {
		panic(err) // strings, lists and maps of strings always encode
	}

	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])[:versionLength]
}
