package config

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"mailroom/shared/secret"
)

// maxFile bounds the configuration file in bytes.
const maxFile = 1 << 20

// LoadWith reads the configuration file, checks it, fills in the defaults and resolves
// the references that role uses through from, which may go on renewing them; keys of
// encryption stay as they are. Of the other references the form alone is checked. A
// file that is not valid returns an *Invalid. The result is shared and read-only.
func LoadWith(ctx context.Context, path string, role Role, from Resolver) (*File, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration (MAILROOM_CONFIG): %w", err)
	}
	return load(ctx, path, text, role, from, time.Now())
}

// Load is LoadWith for programs that read the file once: the secrets are the current
// ones, env: through getenv, and nothing renews them.
func Load(path string, role Role, getenv func(string) string) (*File, error) {
	store := secret.Open(getenv, slog.New(slog.DiscardHandler))
	return LoadWith(context.Background(), path, role, once{store})
}

// Check is Load for a program that is no role and need not resolve anything: with RoleNone
// of every reference the form alone is checked.
func Check(ctx context.Context, path string, role Role, getenv func(string) string) (*File, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	store := secret.Open(getenv, slog.New(slog.DiscardHandler))
	return load(ctx, path, text, role, once{store}, time.Now())
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, err //nolint:wrapcheck // names the path already
	}
	defer f.Close() //nolint:errcheck // opened for reading
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err //nolint:wrapcheck // names the path already
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s: larger than %s", path, Bytes(maxFile))
	}
	return text, nil
}

func load(ctx context.Context, path string, text []byte, role Role, from Resolver, now time.Time) (*File, error) {
	root, err := parse(text)
	if err != nil {
		return nil, &Invalid{File: path, Mistakes: []Mistake{{Text: err.Error()}}}
	}

	c := &checker{root: root, seen: map[string]bool{}}
	if err := c.checkSchema(); err != nil {
		return nil, err
	}

	file := &File{}
	c.decode(file)
	c.checkNames(file)
	c.checkReferences(file)
	for i, s := range file.Sources {
		c.checkSource(s, i)
	}
	c.checkIngress(file)
	c.checkAccess(file)
	c.checkHolds(file)
	c.checkTenants(file)

	resolve(ctx, c, file, role, from, now)
	if len(c.mistakes) > 0 {
		return nil, invalid(path, c.mistakes)
	}
	file.applyDefaults()
	file.text = places{path: path, root: root}
	return file, nil
}

// parse reads the one YAML document of the file. Duplicate keys, cycles and
// excessive aliasing are refused by the decoder.
func parse(text []byte) (*yaml.Node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("is empty")
		}
		return nil, err //nolint:wrapcheck // says "yaml: line N: …"
	}
	var more yaml.Node
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, errors.New("holds more than one YAML document")
	}
	var whole any
	if err := doc.Decode(&whole); err != nil {
		return nil, err //nolint:wrapcheck // says "yaml: line N: …"
	}
	return doc.Content[0], nil
}

// checker collects the mistakes of one file.
type checker struct {
	root     *yaml.Node
	mistakes []Mistake
	seen     map[string]bool // paths that have a mistake already
}

// add records a mistake at the place of these keys and indices, unless the place has one.
func (c *checker) add(text string, at ...any) {
	path, line := locate(c.root, at)
	if c.seen[path] {
		return
	}
	c.seen[path] = true
	c.mistakes = append(c.mistakes, Mistake{Path: path, Line: line, Text: text})
}

// wrong reports whether the place has a mistake.
func (c *checker) wrong(at ...any) bool {
	path, _ := locate(c.root, at)
	return c.seen[path]
}

// decode fills file. It drops errors about values that the schema has refused before;
// what remains are numbers out of range.
func (c *checker) decode(file *File) {
	err := c.root.Decode(file)
	if err == nil || len(c.mistakes) > 0 {
		return
	}
	var te *yaml.TypeError
	if !errors.As(err, &te) {
		c.mistakes = append(c.mistakes, Mistake{Text: err.Error()})
		return
	}
	for _, text := range te.Errors {
		c.mistakes = append(c.mistakes, Mistake{Text: text})
	}
}

// locate returns the YAML path of a place and its line. For an absent key the line is that
// of the mapping that should hold it.
func locate(node *yaml.Node, at []any) (path string, line int) {
	var sb strings.Builder
	line = node.Line

	for _, step := range at {
		node = follow(node)
		key, next := fmt.Sprint(step), (*yaml.Node)(nil)
		if i, err := strconv.Atoi(key); err == nil && (node == nil || node.Kind == yaml.SequenceNode) {
			fmt.Fprintf(&sb, "[%d]", i)
			if node != nil && i < len(node.Content) {
				next = node.Content[i]
				line = next.Line
			}
			node = next
			continue
		}

		if sb.Len() > 0 {
			sb.WriteByte('.')
		}
		sb.WriteString(key)
		if node != nil && node.Kind == yaml.MappingNode {
			for i := 0; i+1 < len(node.Content); i += 2 {
				if node.Content[i].Value == key {
					next, line = node.Content[i+1], node.Content[i].Line
				}
			}
		}
		node = next
	}
	return sb.String(), line
}

func follow(node *yaml.Node) *yaml.Node {
	for node != nil && node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	return node
}
