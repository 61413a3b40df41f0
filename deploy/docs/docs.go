// Package docs is the manual, for programs that show it.
package docs

import "embed"

// Pages are the pages of the manual in Markdown, without their pictures.
//
//go:embed *.md
var Pages embed.FS
