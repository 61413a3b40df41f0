package docs_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
)

// blocks returns the contents of the code blocks of one language.
func blocks(text, language string) []string {
	block := regexp.MustCompile("(?ms)^```" + language + "\n(.*?)^```$")
	var all []string
	for _, m := range block.FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	return all
}

// TestSamplesOfReceiversAreTheTestedOnes compares the samples of receiving.md with the
// files that TestReceiversVerify runs.
func TestSamplesOfReceiversAreTheTestedOnes(t *testing.T) {
	t.Parallel()
	page := read(t, "receiving.md")
	source := read(t, "receiving/verify.go")

	for language, want := range map[string]string{
		"go":     source[strings.Index(source, "import ("):],
		"js":     read(t, "receiving/verify.mjs"),
		"python": read(t, "receiving/verify.py"),
	} {
		require.Equal(t, []string{want}, blocks(page, language), language)
	}
}

// TestExamplesOfRequests validates each JSON example of receiving.md, which has every
// field of its schema, and looks for every field in the page's tables.
func TestExamplesOfRequests(t *testing.T) {
	t.Parallel()
	page := read(t, "receiving.md")
	table := strings.Join(regexp.MustCompile(`(?m)^\| .*$`).FindAllString(page, -1), "\n")
	schemas := map[string]string{
		"mailroom.email.v1": "../../activities/downstream/mailroom.email.v1.json",
		"mailroom.hold.v1":  "../../activities/downstream/mailroom.hold.v1.json",
	}
	examples := blocks(page, "json")
	require.Len(t, examples, len(schemas))

	for _, text := range examples {
		example, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		require.NoError(t, err)
		path := schemas[example.(map[string]any)["schema"].(string)]
		require.NotEmpty(t, path)
		compiler := jsonschema.NewCompiler()
		compiler.AssertFormat()
		schema, err := compiler.Compile(path)
		require.NoError(t, err)
		require.NoError(t, schema.Validate(example))

		var described any
		require.NoError(t, json.Unmarshal([]byte(read(t, path)), &described))
		for _, field := range fieldsOf(described) {
			require.Contains(t, text, `"`+field+`":`, "no example of a field")
			require.Regexp(t, "`"+field+`(\[\])?`+"`", table, "no table names a field")
		}
	}
}

// fieldsOf returns the names of all properties of a JSON Schema.
func fieldsOf(schema any) []string {
	var all []string
	switch value := schema.(type) {
	case []any:
		for _, one := range value {
			all = append(all, fieldsOf(one)...)
		}
	case map[string]any:
		properties, _ := value["properties"].(map[string]any)
		for name := range properties {
			all = append(all, name)
		}
		for _, one := range value {
			all = append(all, fieldsOf(one)...)
		}
	}
	return all
}
