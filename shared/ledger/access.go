package ledger

import "time"

// Token is a bearer token of the operator API. Its text is nowhere.
type Token struct {
	Name   string   `json:"name"`
	SHA256 [32]byte `json:"-"`
	// Roles are the names of roles by tenant; "*" holds for every tenant.
	Roles map[string]string `json:"roles"`
	// Owner is the person that it counts as where several have to approve.
	Owner      string     `json:"owner"`
	CreatedBy  string     `json:"created_by"`
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at"` // null: never
	RevokedBy  string     `json:"revoked_by"`
	RevokedAt  *time.Time `json:"revoked_at"`
	LastUsedAt *time.Time `json:"last_used_at"` // to about a minute
}

// Session is a person's login with a browser.
type Session struct {
	SHA256 [32]byte // of the cookie
	// Token is the hash of the bearer token that the session was made from; nil for
	// a person that the OpenID provider vouched for.
	Token *[32]byte
	Name  string
	// Display is what people see; it may be empty.
	Display string
	// Groups are those of the provider's that the configuration named at the login.
	Groups    []string
	CSRF      string
	CreatedAt time.Time
	SeenAt    time.Time // to about a minute
	ExpiresAt time.Time // whatever happens
}

// Login is a login at the OpenID provider that has begun.
type Login struct {
	State     [32]byte // the hash of state
	Browser   [32]byte // the hash of the cookie of the browser that began it
	Verifier  string   // of PKCE
	Nonce     string
	Next      string // where to go afterwards
	ExpiresAt time.Time
}
