package console

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"mailroom/ingress/operator/access"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// site is what all pages share: templates, static files and the live connections.
type site struct {
	cfg    Config
	pages  map[string]*template.Template
	assets *assets
	live   *hub
	now    func() time.Time
}

// layout is what every page is given.
type layout struct {
	Title string
	// Area is the entry of the navigation that the page belongs to.
	Area string
	// Help is the section of the manual that fits the page; empty: that of its area.
	Help    string
	Who     access.Identity
	Role    access.Role
	CSRF    string
	Areas   []area
	Notice  string // what has just been done
	Problem string // what went wrong
	// Live is where the page learns of changes; empty: it does not.
	Live string
	Body any
}

// area is an entry of the navigation.
type area struct {
	Name, Path, Title, Key string
}

// areas returns the entries of the navigation for a caller.
func areas(who access.Identity) []area {
	out := []area{
		{"overview", "/", "Overview", "o"},
		{"inbox", "/inbox", "Inbox", "i"},
		{"emails", "/emails", "Emails", "m"},
		{"destinations", "/destinations", "Destinations", "t"},
		{"routes", "/routes", "Routes", "u"},
		{"sources", "/sources", "Sources", "s"},
	}
	if who.Best() >= access.Operator {
		out = append(out, area{"replays", "/replays", "Replays", "p"})
	}
	if who.Best() >= access.Admin {
		out = append(out, area{"tokens", "/tokens", "Tokens", "k"})
	}
	if who.Roles[access.Everywhere] >= access.Admin {
		out = append(out, area{"audit", "/audit", "Audit", "l"})
	}
	return out
}

// parse reads every page with the layout and the parts that pages share.
func (s *site) parse() (map[string]*template.Template, error) {
	base, err := template.New("layout").Funcs(s.funcs()).ParseFS(files, "templates/layout.html", "templates/part_*.html")
	if err != nil {
		return nil, fmt.Errorf("parse the layout: %w", err)
	}

	names, err := fs.Glob(files, "templates/page_*.html")
	if err != nil {
		return nil, fmt.Errorf("list the pages: %w", err)
	}

	pages := map[string]*template.Template{}
	for _, name := range names {
		page, err := base.Clone()
		if err == nil {
			page, err = page.ParseFS(files, name)
		}
		if err != nil {
			return nil, fmt.Errorf("parse %s: %w", name, err)
		}
		pages[strings.TrimSuffix(strings.TrimPrefix(path.Base(name), "page_"), ".html")] = page
	}

	return pages, nil
}

// funcs are the functions of the templates.
func (s *site) funcs() template.FuncMap {
	return template.FuncMap{
		"asset":   s.assets.url,
		"warning": func() string { return s.cfg.Warning },
		"show":    show,
		"lines":   showLines,
		"cut":     cut,
		"address": address,
		"size":    size,
		"count":   count,
		"words":   func(name any) string { return words(fmt.Sprint(name)) },
		"span":    span,
		"age": func(t time.Time) string {
			if t.IsZero() {
				return "–"
			}
			return span(s.now().Sub(t))
		},
		"until": func(t *time.Time) string {
			if t == nil || t.IsZero() {
				return "–"
			}
			return span(t.Sub(s.now()))
		},
		"stamp":   stamp,
		"clock":   func(t time.Time) string { return t.UTC().Format("15:04:05") },
		"iso":     func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"email":   emailURL,
		"further": further,
		"under":   emailPath,
		"segment": url.PathEscape,
		"plural":  plural,
		"join":    func(list []string) string { return strings.Join(list, ", ") },
		"heldBy": func(r contract.Reason) string {
			return "/inbox?" + url.Values{"reason": {string(r)}}.Encode()
		},
		"link":   pathOf,
		"effect": effectOf, "itemID": itemID, "itemDetail": itemDetail, "conditions": conditions,
		"said": auditText, "roles": rolesIn, "choose": optionsOf,
		"seconds": func(n int64) time.Duration { return time.Duration(n) * time.Second },
		"hex":     func(d contract.Digest) string { return hex.EncodeToString(d[:]) },
		"dict":    dict,
	}
}

// dict lets a template pass several values to a part.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("dict: a name without a value")
	}
	out := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("dict: %v is no name", pairs[i])
		}
		out[name] = pairs[i+1]
	}
	return out, nil
}

func plural(n any, one, many string) string {
	if fmt.Sprint(n) == "1" {
		return "1 " + one
	}
	if wide, ok := n.(int64); ok {
		return count(wide) + " " + many
	}
	return fmt.Sprint(n) + " " + many
}

// noID replaces in a path an event id that browsers would resolve as a part of the path;
// the id is in the query then.
const noID = "~"

// eventID returns the id by which FindEmail finds a row.
func eventID(e *ledger.EmailRow) string {
	if e.DuplicateOf != "" {
		return e.WorkflowID
	}
	return e.EventID
}

// further returns how many recipients an email has besides the one that a list shows.
// Of many the row has the first alone, and their count.
func further(e ledger.EmailRow) int64 { return int64(max(e.ToCount, len(e.To), 1) - 1) }

// emailURL returns the page of an email.
func emailURL(e ledger.EmailRow) string { return emailPath(e, "") }

// emailPath returns a path under the page of an email, such as "/html".
func emailPath(e ledger.EmailRow, under string) string {
	return pathOf(linkNumber(&e), e.Source, eventID(&e), under)
}

// linkNumber returns the number by which links name an email that came under a taken
// id, because any event may have the id of its workflow; 0 for all others.
func linkNumber(e *ledger.EmailRow) int64 {
	if e.DuplicateOf == "" {
		return 0
	}
	return e.ID
}

// pathOf returns a path under the page of an email. Its number is 0 where it is not
// known, or the id is enough.
func pathOf(number int64, source, id, under string) string {
	query := url.Values{"source": {source}}
	if number != 0 {
		query.Set("number", strconv.FormatInt(number, 10))
	}
	segment := url.PathEscape(id)
	if id == "." || id == ".." || id == noID {
		query.Set("id", id)
		segment = noID
	}
	return "/emails/" + segment + under + "?" + query.Encode()
}

// render sends a page. It is rendered whole before the first byte is sent.
func (s *site) render(g *gin.Context, status int, name string, l layout) error {
	ctx := g.Request.Context()
	session, _ := access.SessionFrom(ctx)
	l.Who, l.CSRF = access.From(ctx), session.CSRF
	var out bytes.Buffer
	if err := s.write(&out, name, l); err != nil {
		return fault.Wrap(fault.Internal, "the page could not be rendered", err)
	}
	access.SetPagePolicy(g.Writer.Header())
	g.Header("Cache-Control", "no-store")
	g.Data(status, "text/html; charset=utf-8", out.Bytes())
	return nil
}

func (s *site) write(w io.Writer, name string, l layout) error {
	l.Role = l.Who.Best()
	if l.Role > access.NoRole {
		l.Areas = areas(l.Who)
		if l.Help == "" {
			l.Help = cmp.Or(helpOf[l.Area], helpOf["overview"])
		}
	}
	if l.Role == access.NoRole {
		l.Live = ""
	}
	page, ok := s.pages[name]
	if !ok {
		return fmt.Errorf("there is no page %s", name)
	}
	if err := page.ExecuteTemplate(w, "layout", l); err != nil {
		return fmt.Errorf("render %s: %w", name, err)
	}
	return nil
}

var _ access.Pages = (*Console)(nil)

// Login implements access.Pages.
func (s *site) Login(w io.Writer, p access.LoginPage) error {
	return s.write(w, "login", layout{Title: "Sign in", Problem: p.Problem, Body: p})
}

// Refused implements access.Pages.
func (s *site) Refused(w io.Writer, p access.RefusedPage) error {
	title := p.Title
	if known := map[int]string{
		http.StatusNotFound: "Not found", http.StatusForbidden: "Not allowed", http.StatusConflict: "Refused",
		http.StatusServiceUnavailable: "Not available at the moment", http.StatusInternalServerError: "Something went wrong",
		http.StatusBadRequest: "This request is not valid", http.StatusTooManyRequests: "Too many attempts",
	}[p.Status]; known != "" {
		title = known
	}
	return s.write(w, "error", layout{Title: title, Who: p.Who, CSRF: p.CSRF, Problem: p.Message, Body: p.Status})
}
