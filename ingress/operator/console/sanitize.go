package console

import (
	"encoding/base64"
	"regexp"
	"slices"
	"strings"

	"github.com/microcosm-cc/bluemonday"
	"golang.org/x/net/html"
)

// Bounds of the HTML of a mail that is shown. The whole is in the raw source.
const (
	maxHTML   = 256 << 10 // bytes that are read
	maxDepth  = 64        // elements inside each other; deeper ones are taken out, their text stays
	maxImage  = 256 << 10 // bytes of one image inside the mail
	maxImages = 2 << 20   // of all of them
)

// cleaned is HTML that a browser may show in a frame.
type cleaned struct {
	HTML string
	// Cut says that the mail has more.
	Cut bool
	// Flat says that elements were nested deeper than mail programs write them.
	Flat bool
	// Blocked counts the images that were not inside the mail, or not clean.
	Blocked int
}

// picture returns the bytes and the detected type of an image inside the mail by its
// Content-ID; false where there is none that may be shown.
type picture func(contentID string) (content []byte, mediaType string, ok bool)

// shown are the types of images that are shown.
var shown = []string{"image/png", "image/jpeg", "image/gif", "image/webp"}

var (
	inlineImage = regexp.MustCompile(`^data:image/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/]+=*$`)
	number      = regexp.MustCompile(`^[0-9]{1,4}%?$`)
	color       = regexp.MustCompile(`^(#[0-9A-Fa-f]{3,8}|[A-Za-z]{3,20})$`)
	alignment   = regexp.MustCompile(`^(?i:left|right|center|justify|top|middle|bottom|baseline)$`)
	direction   = regexp.MustCompile(`^(?i:ltr|rtl|auto)$`)
	language    = regexp.MustCompile(`^[A-Za-z0-9-]{1,20}$`)
)

// void are the elements without an end.
var void = []string{"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}

// silent are the elements whose text is not shown.
var silent = []string{"script", "style", "title", "template", "noscript", "iframe", "noembed", "noframes", "object", "xmp", "plaintext", "textarea", "svg", "math"}

// mailPolicy keeps what lays out a mail and nothing that loads, runs, submits or moves: no style, no class, no id, no form, no frame.
func mailPolicy() *bluemonday.Policy {
	p := bluemonday.NewPolicy()
	p.AllowElements("p", "br", "hr", "div", "span", "b", "strong", "i", "em", "u", "s", "strike", "small", "big", "sub", "sup",
		"code", "pre", "kbd", "samp", "tt", "blockquote", "q", "cite", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "dl",
		"dt", "dd", "table", "caption", "thead", "tbody", "tfoot", "tr", "td", "th", "col", "colgroup", "center", "font",
		"address", "abbr", "del", "ins", "mark", "section", "article", "header", "footer", "main", "figure", "figcaption", "wbr", "bdi")

	p.AllowAttrs("href").OnElements("a")
	p.AllowURLSchemes("http", "https", "mailto")
	p.RequireParseableURLs(true)
	p.AllowRelativeURLs(false)
	p.RequireNoFollowOnLinks(true)
	p.RequireNoReferrerOnLinks(true)
	p.AddTargetBlankToFullyQualifiedLinks(true)
	p.AllowDataURIImages()
	p.AllowAttrs("src").Matching(inlineImage).OnElements("img")
	p.AllowAttrs("alt").OnElements("img")
	p.AllowAttrs("colspan", "rowspan", "span", "start", "border", "cellpadding", "cellspacing").Matching(number).Globally()
	p.AllowAttrs("width", "height").Matching(number).OnElements("img", "table", "td", "th", "col")
	p.AllowAttrs("align", "valign").Matching(alignment).Globally()
	p.AllowAttrs("bgcolor", "color").Matching(color).Globally()
	p.AllowAttrs("dir").Matching(direction).Globally()
	p.AllowAttrs("lang").Matching(language).Globally()
	return p
}

// clean makes the HTML of a mail safe to show. Nothing in the result loads
// anything: images are inside it or left out.
func (f frame) clean(mail string, images picture) cleaned {
	var out cleaned
	mail, out.Cut = shorten(mail, maxHTML)
	f2 := flattener{images: remembered(images), out: &out, dropped: map[string]int{}}
	out.HTML = f.policy.Sanitize(f2.run(strings.ToValidUTF8(mail, "\ufffd")))
	return out
}

// remembered asks images once for each Content-ID.
func remembered(images picture) picture {
	type answer struct {
		content   []byte
		mediaType string
		ok        bool
	}

	if images == nil {
		return nil
	}

	answers := map[string]answer{}
	return func(contentID string) ([]byte, string, bool) {
		a, known := answers[contentID]
		if !known {
			a.content, a.mediaType, a.ok = images(contentID)
			answers[contentID] = a
		}
		return a.content, a.mediaType, a.ok
	}
}

// flattener writes HTML again with bounded depth, every element closed, images
// taken from the mail, and marks of direction made visible.
type flattener struct {
	images  picture
	out     *cleaned
	b       strings.Builder
	open    []string
	dropped map[string]int // starts that were taken out and whose ends are to come
	spent   int            // bytes of images so far
	mute    string         // the silent element that is open, and how deep
	muted   int
}

func (f *flattener) run(text string) string {
	z := html.NewTokenizer(strings.NewReader(text))
	for z.Next() != html.ErrorToken {
		f.token(z.Token())
	}
	for _, name := range slices.Backward(f.open) {
		f.b.WriteString("</" + name + ">")
	}
	return f.b.String()
}

func (f *flattener) token(t html.Token) {
	if f.mute != "" {
		switch {
		case t.Type == html.StartTagToken && t.Data == f.mute:
			f.muted++
		case t.Type == html.EndTagToken && t.Data == f.mute:
			if f.muted--; f.muted == 0 {
				f.mute = ""
			}
		}
		return
	}

	switch t.Type {
	case html.TextToken:
		f.b.WriteString(html.EscapeString(showLines(t.Data)))
	case html.StartTagToken, html.SelfClosingTagToken:
		f.start(t)
	case html.EndTagToken:
		f.end(t.Data)
	case html.ErrorToken, html.CommentToken, html.DoctypeToken:
	}
}

func (f *flattener) start(t html.Token) {
	switch {
	case slices.Contains(silent, t.Data):
		// Only foreign elements may close themselves.
		if t.Type == html.StartTagToken || t.Data != "svg" && t.Data != "math" {
			f.mute, f.muted = t.Data, 1
		}
	case t.Data == "img":
		f.image(t)
	case slices.Contains(void, t.Data):
		f.b.WriteString(t.String())
	case len(f.open) >= maxDepth:
		f.out.Flat = true
		f.dropped[t.Data]++
	default:
		t.Type = html.StartTagToken
		f.b.WriteString(t.String())
		f.open = append(f.open, t.Data)
	}
}

func (f *flattener) end(name string) {
	if f.dropped[name] > 0 {
		f.dropped[name]--
		return
	}

	at := -1
	for i, open := range slices.Backward(f.open) {
		if open == name {
			at = i
			break
		}
	}

	if at < 0 {
		return
	}

	for _, open := range slices.Backward(f.open[at:]) {
		f.b.WriteString("</" + open + ">")
	}

	f.open = f.open[:at]
}

// image writes an image with its bytes in it, or the words that stand for it.
func (f *flattener) image(t html.Token) {
	attribute := map[string]string{}
	for _, a := range t.Attr {
		attribute[strings.ToLower(a.Key)] = a.Val
	}

	src := f.source(strings.TrimSpace(attribute["src"]))
	alt := show(attribute["alt"])
	if src == "" {
		f.out.Blocked++
		if alt == "" {
			alt = "image"
		}
		f.b.WriteString(html.EscapeString("[" + alt + "]"))
		return
	}

	attrs := []html.Attribute{{Key: "src", Val: src}, {Key: "alt", Val: alt}}
	for _, name := range []string{"width", "height"} {
		if attribute[name] != "" {
			attrs = append(attrs, html.Attribute{Key: name, Val: attribute[name]})
		}
	}

	f.b.WriteString(html.Token{Type: html.StartTagToken, Data: "img", Attr: attrs}.String())
}

// source returns a data URI for what src names, empty where it may not be shown.
func (f *flattener) source(src string) string {
	if len(src) <= maxImage && inlineImage.MatchString(src) {
		return src
	}
	if len(src) < 5 || !strings.EqualFold(src[:4], "cid:") || f.images == nil {
		return ""
	}
	content, mediaType, ok := f.images(src[4:])
	if !ok || !slices.Contains(shown, mediaType) || len(content) > maxImage || f.spent+len(content) > maxImages {
		return ""
	}
	f.spent += len(content)
	return "data:" + mediaType + ";base64," + base64.StdEncoding.EncodeToString(content)
}
