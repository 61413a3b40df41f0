package mailctl

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

type tokensCommands struct {
	Create tokensCreateCommand `cmd:"" help:"Create a bearer token. Its text is printed once and not stored."`
	List   tokensListCommand   `cmd:"" help:"List who may do what: the tokens of the configuration and created ones, also expired and revoked ones. Needs the role admin; shows the tenants in which you have it."`
	Revoke tokensRevokeCommand `cmd:"" help:"Revoke a token for good."`
}

type tokensCreateCommand struct {
	Name    string        `arg:"" help:"The name that decisions record. It cannot be used again."`
	Role    string        `required:"" enum:"viewer,operator,admin" help:"viewer, operator or admin."`
	Tenant  []string      `help:"Only for this tenant; may be repeated. Default: every tenant."`
	Owner   string        `help:"The person that it counts as where several have to approve: the name of a login, such as ann@example.com, or of a configured operator. Default: you."`
	Expires time.Duration `help:"How long it is valid, such as 720h. Default: for ever."`
}

// Run prints the text of the token alone, for scripts.
func (c *tokensCreateCommand) Run(s *session) error {
	if c.Expires < 0 {
		return usagef("--expires: must be more than 0")
	}

	in := map[string]any{"name": c.Name}
	roles := map[string]string{}
	for _, t := range c.Tenant {
		roles[t] = c.Role
	}

	if len(roles) == 0 {
		roles["*"] = c.Role
	}

	in["roles"] = roles
	if c.Owner != "" {
		in["owner"] = c.Owner
	}
	if c.Expires > 0 {
		in["expires_at"] = s.now().Add(c.Expires).UTC().Truncate(time.Second)
	}

	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("create token: %w", err)
	}

	var made struct {
		Token string `json:"token"`
	}

	if err := s.callJSON(http.MethodPost, "/api/v1/tokens", nil, body, &made); err != nil || s.json() {
		return err
	}

	return s.printf("%s\n", visible(made.Token))
}

type tokensListCommand struct{}

// tokenRow is what the table shows of a token.
type tokenRow struct {
	Name       string            `json:"name"`
	State      string            `json:"state"`
	Configured bool              `json:"configured"`
	Roles      map[string]string `json:"roles"`
	Owner      string            `json:"owner"`
	CreatedBy  string            `json:"created_by"`
	CreatedAt  *time.Time        `json:"created_at"`
	ExpiresAt  *time.Time        `json:"expires_at"`
	RevokedBy  string            `json:"revoked_by"`
	LastUsedAt *time.Time        `json:"last_used_at"`
}

// Run prints a line for each token.
func (c *tokensListCommand) Run(s *session) error {
	var list struct {
		Tokens []tokenRow `json:"tokens"`
	}

	if err := s.callJSON(http.MethodGet, "/api/v1/tokens", nil, nil, &list); err != nil || s.json() {
		return err
	}

	table := tabwriter.NewWriter(s.stdout, 0, 8, 2, ' ', 0)
	line := liner(table)
	line("NAME", "ROLES", "STATE", "OWNER", "MADE BY", "MADE", "EXPIRES", "LAST USED")
	for _, t := range list.Tokens {
		var roles []string
		for _, tenant := range slices.Sorted(maps.Keys(t.Roles)) {
			roles = append(roles, tenant+"="+t.Roles[tenant])
		}
		state, by := t.State, t.CreatedBy
		if t.RevokedBy != "" {
			state += " by " + t.RevokedBy
		}
		if t.Configured {
			by = "configuration"
		}
		line(t.Name, strings.Join(roles, ","), state, t.Owner, by, fallback(stamp(t.CreatedAt), "-"),
			fallback(stamp(t.ExpiresAt), "never"), fallback(stamp(t.LastUsedAt), "-"))
	}

	if err := table.Flush(); err != nil {
		return fmt.Errorf("write: %w", err)
	}

	return nil
}

type tokensRevokeCommand struct {
	Name string `arg:"" help:"The token."`
}

// Run revokes the token.
func (c *tokensRevokeCommand) Run(s *session) error {
	var done struct {
		Name string `json:"name"`
	}
	path := "/api/v1/tokens/" + strings.ReplaceAll(url.PathEscape(c.Name), ".", "%2E")
	if err := s.callJSON(http.MethodDelete, path, nil, nil, &done); err != nil || s.json() {
		return err
	}
	return s.printf("%s is revoked\n", visible(done.Name))
}
