package console

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"mailroom/shared/mail"
)

func TestClean(t *testing.T) {
	t.Parallel()
	f := newFrame()
	for name, row := range map[string]struct{ in, want string }{
		"plain":           {`<p>Hello <b>you</b></p>`, `<p>Hello <b>you</b></p>`},
		"script":          {`a<script>alert(1)</script>b<SCRIPT/>c</SCRIPT>d`, `abd`},
		"handler":         {`<p onclick=alert(1) style="background:url(//x)" class=x id=y>a</p>`, `<p>a</p>`},
		"style":           {`<style>input[value^=a]{background:url(//x)}</style>a`, `a`},
		"remote image":    {`<img src="https://x/p.gif" alt="A cat">`, `[A cat]`},
		"image set":       {`<img srcset="https://x/p.gif 2x">`, `[image]`},
		"background":      {`<table background="https://x/p.gif"><tr><td bgcolor="#fff">a</td></tr></table>`, `<table><tr><td bgcolor="#fff">a</td></tr></table>`},
		"javascript link": {`<a href="javascript:alert(1)">a</a>`, `a`},
		"data link":       {`<a href="data:text/html,x">a</a>`, `a`},
		"relative link":   {`<a href="/logout">a</a>`, `a`},
		"form":            {`<form action=//x><input name=a><button>go</button></form>`, `go`},
		"meta":            {`<meta http-equiv=refresh content="0;url=//x"><base href=//x><link rel=stylesheet href=//x>a`, `a`},
		"frame":           {`<iframe src=//x>y</iframe><object data=//x></object><embed src=//x>a`, `a`},
		"svg":             {`<svg><script>alert(1)</script><a xlink:href=javascript:x>y</a></svg>a`, `a`},
		"mathml":          {`<math><mtext><style><img src=x onerror=alert(1)></style></mtext></math>a`, `a`},
		"noscript":        {`<noscript><p title="</noscript><img src=x onerror=alert(1)>">a`, `[image]&#34;&gt;a`},
		"comment":         {`a<!--[if mso]><script>x</script><![endif]-->b`, `ab`},
		"unclosed":        {`<div><p>a`, `<div><p>a</p></div>`},
		"bidi":            {"a&#8238;b\u202ec", `a‹U+202E›b‹U+202E›c`},
		"data svg":        {`<img src="data:image/svg+xml;base64,AAAA">`, `[image]`},
		"data png":        {`<img src="data:image/png;base64,AAAA">`, `<img src="data:image/png;base64,AAAA" alt="">`},
	} {
		require.Equal(t, row.want, f.clean(row.in, nil).HTML, name)
	}
	link := f.clean(`<a href="https://x.example/?a=b">a</a>`, nil).HTML
	for _, part := range []string{`href="https://x.example/?a=b"`, "noreferrer", "nofollow", `target="_blank"`} {
		require.Contains(t, link, part)
	}
}

func TestCleanInlineImages(t *testing.T) {
	t.Parallel()
	f := newFrame()
	images := func(id string) ([]byte, string, bool) {
		switch id {
		case "logo":
			return []byte{1, 2, 3}, "image/png", true
		case "vector":
			return []byte{1}, "image/svg+xml", true
		case "large":
			return make([]byte, maxImage), "image/png", true
		}
		return nil, "", false
	}
	require.Equal(t, `<img src="data:image/png;base64,AQID" alt="Logo" width="10">`, f.clean(`<img src="CID:logo" alt="Logo" width="10">`, images).HTML)
	require.Equal(t, `[image]`, f.clean(`<img src="cid:vector">`, images).HTML, "only pictures without a language of their own")
	out := f.clean(strings.Repeat(`<img src="cid:large">`, 20)+`<img src="cid:none">`, images)
	require.Equal(t, maxImages/maxImage, strings.Count(out.HTML, "<img"), "all of them together are bounded")
	require.Equal(t, 21-maxImages/maxImage, out.Blocked)
}

func TestCleanIsBounded(t *testing.T) {
	t.Parallel()
	f := newFrame()
	deep := f.clean(strings.Repeat("<div>", 20_000)+"x"+strings.Repeat("</div>", 20_000)+"<p>after</p>", nil)
	require.True(t, deep.Flat)
	require.Equal(t, maxDepth, strings.Count(deep.HTML, "<div>"))
	require.Equal(t, maxDepth, strings.Count(deep.HTML, "</div>"))
	require.True(t, strings.HasSuffix(deep.HTML, "<p>after</p>"), "what is flat does not swallow what follows")

	big := f.clean(strings.Repeat("é", 5<<20), nil)
	require.True(t, big.Cut)
	require.LessOrEqual(t, len(big.HTML), maxHTML)
	require.NotContains(t, big.HTML, "\ufffd")

	many := f.clean(strings.Repeat("<b>", 100_000), nil)
	require.True(t, many.Cut)
	require.Less(t, len(many.HTML), maxHTML)
}

func TestHTMLIsServedHarmless(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.emails.messages[1] = mail.Message{HTML: `<p>Hi<script>alert(1)</script><img src="https://t.example/x.gif"></p>` + strings.Repeat("<div>", 20_000)}
	rec := b.get(t, vera, "/emails/evt_0001/html?source=mailparse")
	require.Equal(t, http.StatusOK, rec.Code)
	header := rec.Header().Get("Content-Security-Policy")
	for _, part := range []string{"sandbox;", "default-src 'none'", "img-src data:", "frame-ancestors 'self'", "form-action 'none'"} {
		require.Contains(t, header, part)
	}
	require.NotContains(t, header, "unsafe")
	require.Equal(t, "SAMEORIGIN", rec.Header().Get("X-Frame-Options"))
	require.NotContains(t, rec.Body.String(), "t.example")
	require.NotContains(t, rec.Body.String(), "<script")
	for _, says := range []string{"1 image was left out", "shown flat"} {
		require.Contains(t, rec.Body.String(), says)
	}
	b.emails.messages[1] = mail.Message{Text: "no HTML"}
	require.Equal(t, http.StatusNotFound, b.get(t, vera, "/emails/evt_0001/html").Code)
}

// FuzzClean sees that nothing a mail holds survives as anything that loads, runs or
// submits, and that the result is well nested and bounded.
func FuzzClean(f *testing.F) {
	for _, seed := range []string{
		`<p>Hello</p>`, `<img src=x onerror=alert(1)>`, `<svg/onload=alert(1)>`, `<a href="jav&#x09;ascript:alert(1)">x</a>`, `<math><mi//xlink:href="data:x,<script>">`,
		`<table><td background=javascript:x>`, `<style>@import '//x'</style>`, `<noscript><p title="</noscript><img src=x onerror=1>">`, `<plaintext><script>x`,
		`<img src="data:image/png;base64,AA==" srcset=//x>`, `<textarea><script>alert(1)</script>`, "<div>\x00</div>\xff", `<!--><script>x</script>-->`, `<template><script>x</script>`,
	} {
		f.Add(seed)
	}
	fr := newFrame()
	allowed := map[string]bool{"href": true, "src": true, "alt": true, "rel": true, "target": true, "colspan": true, "rowspan": true, "span": true, "start": true,
		"border": true, "cellpadding": true, "cellspacing": true, "width": true, "height": true, "align": true, "valign": true, "bgcolor": true, "color": true, "dir": true, "lang": true}
	f.Fuzz(func(t *testing.T, in string) {
		out := fr.clean(in, func(string) ([]byte, string, bool) { return []byte{1}, "image/png", true })
		root, err := html.Parse(strings.NewReader(out.HTML))
		require.NoError(t, err)
		var walk func(n *html.Node, depth int)
		walk = func(n *html.Node, depth int) {
			require.Less(t, depth, 4*maxDepth, "nested too deeply")
			if n.Type == html.ElementNode {
				switch n.Data {
				case "script", "style", "iframe", "frame", "object", "embed", "form", "input", "button", "link", "meta", "base", "svg", "math", "template", "textarea", "video", "audio":
					require.Fail(t, "an element that does something", "%s in %q", n.Data, out.HTML)
				}
				for _, a := range n.Attr {
					require.True(t, allowed[a.Key], "%s in %q", a.Key, out.HTML)
					if a.Key == "src" {
						require.Regexp(t, inlineImage, a.Val)
					}
					if a.Key == "href" {
						require.Regexp(t, `^(?i)(https?:|mailto:)`, a.Val)
					}
				}
			}
			for c := n.FirstChild; c != nil; c = c.NextSibling {
				walk(c, depth+1)
			}
		}
		walk(root, 0)
	})
}
