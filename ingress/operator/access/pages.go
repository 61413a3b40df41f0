package access

import (
	"io"
)

// Pages renders the login, and the refusal of a page.
type Pages interface {
	Login(w io.Writer, p LoginPage) error
	Refused(w io.Writer, p RefusedPage) error
}

// LoginPage offers the ways to log in.
type LoginPage struct {
	// Next is the path to go to afterwards; it goes along as the field, or the
	// parameter, "next".
	Next string
	// Token: a form posts a bearer token as the field "token" to /login.
	Token bool
	// Provider: a link to /oidc/start goes to the OpenID provider.
	Provider bool
	// Problem is what went wrong with the try before; it may be empty.
	Problem string
}

// RefusedPage says why the caller does not see what it asked for.
type RefusedPage struct {
	Status  int
	Title   string // such as "Not Found"
	Message string
	Who     Identity // the zero identity for a caller that is not logged in
	CSRF    string   // of the session, for the form that posts to /logout
}
