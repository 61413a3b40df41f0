package access

import (
	"html/template"
	"io"
)

// Pages renders what people see before they are let in, and instead of what they
// may not see. It is for whoever owns the look of the console; PlainPages is what
// there is without.
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

// RefusedPage says why somebody does not see what they asked for.
type RefusedPage struct {
	Status  int
	Title   string // such as "Not Found"
	Message string
	Who     Identity // the zero identity for who is not logged in
	CSRF    string   // of the session, for the form that posts to /logout
}

// PlainPages are pages without style.
type PlainPages struct{}

var _ Pages = PlainPages{}

var loginTemplate = template.Must(template.New("login").Parse(`<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Log in – Mailroom</title></head>
<body>
<main>
<h1>Mailroom</h1>
{{with .Problem}}<p role="alert">{{.}}</p>{{end}}
{{if .Provider}}<p><a href="/oidc/start?next={{.Next}}">Log in with your organisation's account</a></p>{{end}}
{{if .Token}}<form method="post" action="/login">
<input type="hidden" name="next" value="{{.Next}}">
<p><label for="token">Bearer token</label> <input id="token" name="token" type="password" autocomplete="off" required></p>
<p><button type="submit">Log in</button></p>
</form>{{end}}
{{if not (or .Provider .Token)}}<p>Nobody can log in here: set access.public_url in the configuration, or come from this machine.</p>{{end}}
</main>
</body>
</html>
`))

var refusedTemplate = template.Must(template.New("refused").Parse(`<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{{.Title}} – Mailroom</title></head>
<body>
<main>
<h1>{{.Title}}</h1>
<p>{{.Message}}</p>
{{if .Who.Name}}<form method="post" action="/logout"><input type="hidden" name="csrf" value="{{.CSRF}}">
<p>You are logged in as {{.Who.Name}}. <button type="submit">Log out</button></p></form>{{else}}<p><a href="/login">Log in</a></p>{{end}}
</main>
</body>
</html>
`))

// Login implements Pages.
func (PlainPages) Login(w io.Writer, p LoginPage) error {
	return loginTemplate.Execute(w, p) //nolint:wrapcheck // the caller says which page
}

// Refused implements Pages.
func (PlainPages) Refused(w io.Writer, p RefusedPage) error {
	return refusedTemplate.Execute(w, p) //nolint:wrapcheck // the caller says which page
}
