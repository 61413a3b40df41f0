package console

import (
	"io/fs"
	"path"
	"strings"
	"unicode"

	"github.com/yuin/goldmark/ast"
	extension "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"

	"mailroom/deploy/docs"
)

// anchors makes the ids of headings as GitHub does, so that links are the same in both.
type anchors struct{}

func (anchors) Generate(heading []byte, _ ast.NodeKind) []byte {
	return []byte(strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, string(heading)))
}

func (anchors) Put([]byte) {}

// manual changes a parsed page so that it works inside the console: links lead to other
// pages of the manual or out of Mailroom, pictures are left out, header cells have a scope.
type manual struct{}

func (manual) Transform(page *ast.Document, _ text.Reader, _ parser.Context) {
	var links, pictures []ast.Node
	_ = ast.Walk(page, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // the walk never fails
		if !entering {
			return ast.WalkContinue, nil
		}
		switch node := n.(type) {
		case *ast.Link:
			links = append(links, node)
		case *ast.Image:
			pictures = append(pictures, node)
		case *extension.TableHeader:
			for cell := node.FirstChild(); cell != nil; cell = cell.NextSibling() {
				cell.SetAttributeString("scope", []byte("col"))
			}
		}
		return ast.WalkContinue, nil
	})

	for _, picture := range pictures {
		picture.Parent().RemoveChild(picture.Parent(), picture)
	}
	for _, one := range links {
		link := one.(*ast.Link)
		if to, ok := helpLink(string(link.Destination)); ok {
			link.Destination = []byte(to)
			continue
		}
		unwrap(link)
	}
}

// unwrap leaves the content of a node in its place.
func unwrap(n ast.Node) {
	parent := n.Parent()
	for child := n.FirstChild(); child != nil; child = n.FirstChild() {
		parent.InsertBefore(parent, n, child)
	}
	parent.RemoveChild(parent, n)
}

// helpLink returns where a link of the manual leads in the console, and whether it leads
// anywhere: files of the repository are not served.
func helpLink(to string) (string, bool) {
	if strings.Contains(to, "://") || strings.HasPrefix(to, "#") {
		return to, true
	}
	file, anchor, _ := strings.Cut(to, "#")
	if _, err := fs.Stat(docs.Pages, file); err != nil {
		return "", false
	}
	link := "/help/" + strings.TrimSuffix(file, path.Ext(file))
	if anchor != "" {
		link += "#" + anchor
	}
	return link, true
}
