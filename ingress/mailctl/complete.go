package mailctl

import (
	"embed"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"mailroom/shared/contract"
)

// completeCommand is what the scripts of shells call, with the words after mailctl up to
// the one that is being written. It prints a line for each word that fits, with a tab and
// its help, or wantsFiles.
const (
	completeCommand = "__complete"
	wantsFiles      = ":files"
)

//go:embed completion
var completionScripts embed.FS

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Run prints the script of a shell.
func (c *completionCommand) Run(s *session) error {
	script, err := completionScripts.ReadFile("completion/mailctl." + c.Shell)
	if err != nil {
		return fmt.Errorf("completion: %w", err)
	}
	return s.printf("%s", script)
}

// complete prints what the last of words may become. It is made from the same model as the
// parser, and calls no server.
func complete(out io.Writer, root *kong.Node, words []string) {
	if len(words) == 0 {
		words = []string{""}
	}
	at := position{node: root}
	for _, word := range words[:len(words)-1] {
		at.read(word)
	}

	last := words[len(words)-1]
	if last == "=" { // bash makes it a word of its own
		last = ""
	}
	for _, c := range at.candidates(last) {
		_, _ = fmt.Fprintln(out, c)
	}
}

// position is where on the command line the next word stands.
type position struct {
	node    *kong.Node
	waiting *kong.Flag // whose value the next word is
	given   int        // positional arguments so far
	literal bool       // after --
}

// read moves past a word.
func (p *position) read(word string) {
	switch {
	case p.waiting != nil:
		if word != "=" {
			p.waiting = nil
		}
		return
	case word == "--":
		p.literal = true
		return
	case strings.HasPrefix(word, "-") && word != "-" && !p.literal:
		name, _, whole := strings.Cut(word, "=")
		if f := p.flag(name); f != nil && !whole && !f.IsBool() {
			p.waiting = f
		}
		return
	}

	for _, child := range p.node.Children {
		if child.Name == word || slices.Contains(child.Aliases, word) {
			p.node, p.given = child, 0
			return
		}
	}
	p.given++
}

// flag finds a flag of the command by --name or -n, nil where there is none.
func (p *position) flag(name string) *kong.Flag {
	for _, f := range p.flags() {
		if name == "--"+f.Name || f.Short != 0 && name == "-"+string(f.Short) {
			return f
		}
	}
	return nil
}

func (p *position) flags() []*kong.Flag { return slices.Concat(p.node.AllFlags(true)...) }

// candidates returns the lines for a word that is being written.
func (p *position) candidates(word string) []string {
	name, value, whole := strings.Cut(word, "=")
	switch {
	case p.waiting != nil:
		return values(p.waiting.Value, "", word)
	case whole && strings.HasPrefix(word, "--") && !p.literal:
		if f := p.flag(name); f != nil {
			return values(f.Value, name+"=", value)
		}
		return nil
	case strings.HasPrefix(word, "-") && !p.literal:
		var out []string
		for _, f := range p.flags() {
			out = append(out, fitting("--"+f.Name, f.Help, word)...)
		}
		return out
	}

	var out []string
	for _, child := range p.node.Children {
		if !child.Hidden {
			out = append(out, fitting(child.Name, child.Help, word)...)
		}
	}
	if arguments := p.node.Positional; len(arguments) > 0 {
		out = append(out, values(arguments[min(p.given, len(arguments)-1)], "", word)...)
	}
	return out
}

// values returns the lines for the value of a flag or an argument, each after prefix.
func values(v *kong.Value, prefix, word string) []string {
	known := v.EnumSlice()
	switch v.Name {
	case "state":
		for _, s := range contract.States {
			known = append(known, s.Word())
		}
	case "reason":
		for _, r := range contract.Reasons {
			known = append(known, string(r))
		}
	}

	var out []string
	for _, one := range known {
		if one != "" && strings.HasPrefix(one, word) {
			out = append(out, prefix+one)
		}
	}
	if v.Name == "file" || v.Tag != nil && v.Tag.PlaceHolder == "FILE" {
		out = append(out, wantsFiles)
	}
	return out
}

// fitting returns the line of a name that begins with word, with the first sentence of its
// help.
func fitting(name, help, word string) []string {
	if !strings.HasPrefix(name, word) {
		return nil
	}
	sentence, _, _ := strings.Cut(help, ". ")
	return []string{name + "\t" + sentence}
}
