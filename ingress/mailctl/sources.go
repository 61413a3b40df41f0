package mailctl

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"mailroom/shared/ledger"
)

type sourcesCommands struct {
	List     sourcesListCommand `cmd:"" help:"List the webhook sources with their secrets by reference, state and last use."`
	Failures failuresCommand    `cmd:"" help:"List failed verifications of a source, with address and cause."`
}

type sourcesListCommand struct{}

// sourceRow is what the table shows of a source.
type sourceRow struct {
	Name        string           `json:"name"`
	Path        string           `json:"path"`
	Tenant      string           `json:"tenant"`
	Schemes     []string         `json:"schemes"`
	Disabled    bool             `json:"disabled"`
	Insecure    bool             `json:"insecure"`
	Secrets     []secretRow      `json:"secrets"`
	Failures24h map[string]int64 `json:"failures_24h"`
}

type secretRow struct {
	Key      int        `json:"key"`
	Ref      string     `json:"ref"`
	Expires  *time.Time `json:"expires"`
	State    string     `json:"state"`
	Until    *time.Time `json:"verifies_until"`
	LastUsed *time.Time `json:"last_used"`
	InUse    bool       `json:"in_use"`
}

// Run prints a line for each secret, one for a source without, and then the failures of
// the last day.
func (c *sourcesListCommand) Run(s *session) error {
	var list struct {
		Sources []sourceRow `json:"sources"`
	}

	if err := s.callJSON(http.MethodGet, "/api/v1/sources", nil, nil, &list); err != nil || s.json() {
		return err
	}

	table := tabwriter.NewWriter(s.stdout, 0, 8, 2, ' ', 0)
	line := liner(table)
	line("SOURCE", "TENANT", "PATH", "SCHEMES", "KEY", "REF", "STATE", "EXPIRES", "LAST USED", "IN USE")
	for _, src := range list.Sources {
		schemes := strings.Join(src.Schemes, ",")
		if len(src.Secrets) == 0 {
			line(src.Name, src.Tenant, src.Path, schemes, "-", "-", src.state("-"), "-", "-", "-")
		}
		for _, k := range src.Secrets {
			line(src.Name, src.Tenant, src.Path, schemes, strconv.Itoa(k.Key), k.Ref, src.state(k.state()),
				fallback(stamp(k.Expires), "never"), fallback(stamp(k.LastUsed), "-"), k.use())
		}
	}

	if err := table.Flush(); err != nil {
		return fmt.Errorf("write: %w", err)
	}

	return c.printFailures(s, list.Sources)
}

// printFailures prints a line for each source and cause of failures.
func (c *sourcesListCommand) printFailures(s *session, sources []sourceRow) error {
	gap := "\n"
	for _, src := range sources {
		for _, code := range slices.Sorted(maps.Keys(src.Failures24h)) {
			err := s.printf("%s%s: %d %s in the last 24 hours\n", gap, visible(src.Name), src.Failures24h[code], visible(code))
			if err != nil {
				return err
			}
			gap = ""
		}
		if src.Failures24h == nil {
			if err := s.printf("%s%s: failures are not known, the ledger does not answer\n", gap, visible(src.Name)); err != nil {
				return err
			}
			gap = ""
		}
	}

	return nil
}

// state puts the state of the source before that of a secret.
func (r sourceRow) state(own string) string {
	if r.Insecure {
		own = "insecure, " + own
	}
	if r.Disabled {
		own = "disabled, " + own
	}
	return strings.TrimSuffix(own, ", -")
}

// state names the state of a secret, and how long one that is gone still verifies.
func (k secretRow) state() string {
	if k.State == "gone" {
		return "gone, verifies until " + fallback(stamp(k.Until), "-")
	}
	return k.State
}

// use says "still" for a secret that should have been replaced by now.
func (k secretRow) use() string {
	switch {
	case !k.InUse:
		return "no"
	case k.State == "previous" || k.State == "expiring":
		return "still"
	}
	return "yes"
}

// liner returns a function that writes one line of a table, safe for a terminal.
func liner(table *tabwriter.Writer) func(cells ...string) {
	return func(cells ...string) {
		for i := range cells {
			cells[i] = visible(cells[i])
		}
		_, _ = fmt.Fprintln(table, strings.Join(cells, "\t")) // Flush reports what goes wrong
	}
}

type failuresCommand struct {
	Name  string        `arg:"" help:"The source."`
	Since time.Duration `default:"24h" help:"How far to look back."`
	Limit int           `help:"How many lines at most."`
}

// Run prints a line for each hour, cause and address, the newest hour first.
func (c *failuresCommand) Run(s *session) error {
	if c.Since <= 0 {
		return usagef("--since: must be more than 0")
	}

	query := url.Values{"since": {s.now().Add(-c.Since).UTC().Format(time.RFC3339)}}
	if c.Limit != 0 {
		query.Set("limit", strconv.Itoa(c.Limit))
	}

	var page struct {
		Failures []ledger.VerificationFailure `json:"failures"`
		More     bool                         `json:"more"`
	}

	path := "/api/v1/sources/" + strings.ReplaceAll(url.PathEscape(c.Name), ".", "%2E") + "/failures"
	if err := s.callJSON(http.MethodGet, path, query, nil, &page); err != nil || s.json() {
		return err
	}

	table := tabwriter.NewWriter(s.stdout, 0, 8, 2, ' ', 0)
	line := liner(table)
	line("ADDRESS", "CODE", "SCHEME", "COUNT", "FIRST", "LAST")
	for _, f := range page.Failures {
		line(fallback(f.Address, "(others)"), f.Code, f.Scheme, strconv.FormatInt(f.Count, 10), stamp(&f.FirstAt), stamp(&f.LastAt))
	}

	if err := table.Flush(); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if page.More {
		return s.printf("\nThere are more: give a larger --limit.\n")
	}

	return nil
}
