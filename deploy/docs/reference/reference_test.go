package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"mailroom/shared/config"
)

const (
	docs      = ".."
	root      = "../../.."
	reference = "configuration.md"
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

// TestPagesAreCurrent: `make generate` would change no page.
func TestPagesAreCurrent(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob(filepath.Join(docs, "*.md"))
	require.NoError(t, err)
	require.Greater(t, len(pages), 10)
	for _, page := range pages {
		text := read(t, page)
		current, _, err := update(text)
		require.NoError(t, err, page)
		require.Equal(t, current, text, "%s is not current: run make generate", page)
	}
}

// TestReferenceHasEveryKey: each key of the file has its table.
func TestReferenceHasEveryKey(t *testing.T) {
	t.Parallel()
	_, paths, err := update(read(t, filepath.Join(docs, reference)))
	require.NoError(t, err)
	s, err := readSchema()
	require.NoError(t, err)

	want := []string{"file", "values"}
	properties := field(s.root, "properties")
	for i := 0; i < len(properties.Content); i += 2 {
		_, suffix := s.below(properties.Content[i+1])
		want = append(want, properties.Content[i].Value+strings.TrimSuffix(suffix, ".*"))
	}
	require.ElementsMatch(t, want, paths)
}

// TestExamplesOfTheReferenceAreValid completes each example with the sections that it
// leaves out, and checks the file.
func TestExamplesOfTheReferenceAreValid(t *testing.T) {
	t.Parallel()
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(read(t, filepath.Join(docs, reference)), -1)
	require.Greater(t, len(blocks), 15)
	const rest = `
sources: [{name: s, path: /s, profile: mailparse, schemes: [bearer], secrets: [{ref: "env:A"}], tenant: acme}]
tenants: [{name: acme}]
destinations:
  - {name: ticketing, url: "https://t.example/", secret: {ref: "env:A"}}
  - {name: archive, url: "https://a.example/", secret: {ref: "env:A"}}
`
	for _, b := range blocks {
		var example, file map[string]any
		require.NoError(t, yaml.Unmarshal([]byte(b[1]), &example))
		require.NoError(t, yaml.Unmarshal([]byte(rest), &file))
		for name, value := range example {
			file[name] = value
		}
		if tenants, ok := example["tenants"]; ok && example["sources"] == nil {
			require.Len(t, tenants, 2)
			delete(file, "destinations")
		}
		text, err := yaml.Marshal(file)
		require.NoError(t, err)

		path := filepath.Join(t.TempDir(), "mailroom.yaml")
		require.NoError(t, os.WriteFile(path, text, 0o600))
		_, err = config.Check(t.Context(), path, config.RoleNone, os.Getenv)
		require.NoError(t, err, "%s", b[1])
	}
}

// TestSamplesNameTheirSchema: the sample files are valid, and an editor finds their schema.
func TestSamplesNameTheirSchema(t *testing.T) {
	t.Parallel()
	installed := read(t, filepath.Join(root, ".goreleaser.yaml"))
	for _, sample := range []string{"deploy/dev/mailroom.yaml", "deploy/compose/mailroom.yaml", "deploy/packages/etc/mailroom.yaml"} {
		path := filepath.Join(root, sample)
		_, err := config.Check(t.Context(), path, config.RoleNone, os.Getenv)
		require.NoError(t, err)

		line, _, _ := strings.Cut(read(t, path), "\n")
		at, ok := strings.CutPrefix(line, "# yaml-language-server: $schema=")
		require.True(t, ok, "%s begins with %s", sample, line)
		if filepath.IsAbs(at) {
			require.Contains(t, installed, "dst: "+at+",", "the package has no %s", at)
			continue
		}
		require.Equal(t, config.Schema(), read(t, filepath.Join(filepath.Dir(path), at)), sample)
	}
}

// TestTablesEscapeWhatMarkdownReads: a table of a key that is not there is an error.
func TestTablesEscapeWhatMarkdownReads(t *testing.T) {
	t.Parallel()
	_, _, err := update("<!-- schema: routes[].colour -->\n<!-- end of schema -->")
	require.ErrorContains(t, err, "routes[].colour")
	require.Equal(t, `a \| b \* \<c>`, cell("a | b * <c>"))

	text, paths, err := update("before\n<!-- schema: retry -->\nold\n<!-- end of schema -->\nafter")
	require.NoError(t, err)
	require.Equal(t, []string{"retry"}, paths)
	require.True(t, slices.Contains(strings.Split(text, "\n"), "| key | value | default | meaning |"))
	require.Contains(t, text, "| `deliver` | duration | `24h` |")
	require.NotContains(t, text, "old")
}
