package access

import (
	"io"
)

// Pages renders the login page and the page that refuses a request.
type Pages interface {
	Login(w io.Writer, p LoginPage) error
	Refused(w io.Writer, p RefusedPage) error
}

// LoginPage is the data of the login page.
type LoginPage struct {
	// Next is the path to continue with, sent as the form field or parameter "next".
	Next string
	// Token shows the form that posts a bearer token as the field "token" to /login.
	Token bool
	// Provider shows the link to /oidc/start.
	Provider bool
	// Problem says why the attempt before failed; it may be empty.
	Problem string
}

// RefusedPage is the data of the page that says why a request was refused.
type RefusedPage struct {
	Status  int
	Title   string // such as "Not Found"
	Message string
	Who     Identity // zero if the caller is not logged in
	CSRF    string   // the session's token, for the form that posts to /logout
}
