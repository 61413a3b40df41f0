package payload

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"mailroom/shared/mail"
)

// published are the compiled schemas by shape.
type published map[mail.Shape]*jsonschema.Schema

func compilePublished(t testing.TB) published {
	t.Helper()
	out := published{}
	for i, file := range SchemaFiles() {
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(file.Text))
		require.NoError(t, err, file.Name)
		compiler := jsonschema.NewCompiler()
		compiler.DefaultDraft(jsonschema.Draft2020)
		require.NoError(t, compiler.AddResource("https://mailroom.example/schemas/"+file.Name, doc))
		out[[]mail.Shape{mail.ShapeA, mail.ShapeB}[i]], err = compiler.Compile("https://mailroom.example/schemas/" + file.Name)
		require.NoError(t, err, file.Name)
	}
	return out
}

// accepts returns the verdict of one shape's schema.
func (p published) accepts(t testing.TB, shape mail.Shape, body []byte) (bool, error) {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	require.NoError(t, err, "%.200s", body)
	err = p[shape].Validate(value)
	return err == nil, err
}

// check checks that Peek refuses, or counts as a breach, what the schema refuses.
func (p published) check(t testing.TB, body []byte) (accepted bool) {
	t.Helper()
	head, err := Peek(bytes.NewReader(body), Options{})
	if err != nil || head.Breaches > 0 {
		return false
	}
	ok, err := p.accepts(t, head.Shape, body)
	require.True(t, ok, "the schema refuses what Peek accepts: %v\n%.2000s", err, body)
	return true
}

func TestSchemaFilesNameThemselves(t *testing.T) {
	t.Parallel()
	compilePublished(t)
	for _, file := range SchemaFiles() {
		var text struct {
			Schema string `json:"$schema"`
			ID     string `json:"$id"`
			Title  string `json:"title"`
		}
		require.NoError(t, json.Unmarshal([]byte(file.Text), &text))
		require.Equal(t, "https://json-schema.org/draft/2020-12/schema", text.Schema)
		require.Equal(t, "/schemas/"+file.Name, text.ID)
		require.Equal(t, file.Title, text.Title)
	}
	files, err := filepath.Glob("schemas/*")
	require.NoError(t, err)
	require.Len(t, SchemaFiles(), len(files))
}

// TestSchemasHaveEveryField compares the names in the schema files with those that
// the switches of the reader, in its source: a field that is added to only one of them
// fails here.
func TestSchemasHaveEveryField(t *testing.T) {
	t.Parallel()
	places := map[string]string{
		"topField": "", "correspondent": "", "envelopeField": "envelope", "authField": "auth",
		"attachment": "attachment", "addressObject": "address",
	}
	read := map[string]map[string]bool{}
	for _, file := range []string{"schema.go", "attachment.go", "addresses.go"} {
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		require.NoError(t, err)
		for _, decl := range tree.Decls {
			function, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			ast.Inspect(function, func(n ast.Node) bool {
				for _, name := range namesOf(t, n) {
					place, known := places[function.Name.Name]
					require.True(t, known, "%s reads fields: say here where in the schemas they are", function.Name.Name)
					add(read, place, name)
				}
				return true
			})
		}
	}
	written := map[string]map[string]bool{}
	for _, file := range SchemaFiles() {
		for place, properties := range propertiesOf(t, file) {
			for name := range properties {
				add(written, place, name)
			}
		}
	}
	require.Equal(t, read, written)
	names := map[string]bool{}
	for _, place := range read {
		maps.Copy(names, place)
	}
	require.Equal(t, names, isField)
	require.Len(t, read, 5)
}

// namesOf returns the field names of a `switch name`.
func namesOf(t *testing.T, n ast.Node) []string {
	t.Helper()
	s, ok := n.(*ast.SwitchStmt)
	if !ok {
		return nil
	}
	if tag, ok := s.Tag.(*ast.Ident); !ok || tag.Name != "name" {
		return nil
	}
	var out []string
	for _, clause := range s.Body.List {
		for _, e := range clause.(*ast.CaseClause).List {
			name, err := strconv.Unquote(e.(*ast.BasicLit).Value)
			require.NoError(t, err)
			out = append(out, name)
		}
	}
	return out
}

func add(to map[string]map[string]bool, place, name string) {
	if to[place] == nil {
		to[place] = map[string]bool{}
	}
	to[place][name] = true
}

// propertiesOf returns the fields of a schema file by the object they are in.
func propertiesOf(t *testing.T, file SchemaFile) map[string]map[string]any {
	t.Helper()
	type object struct {
		Properties map[string]any `json:"properties"`
	}
	var top object
	var inner struct {
		Properties map[string]json.RawMessage `json:"properties"`
		Defs       map[string]object          `json:"$defs"`
	}
	require.NoError(t, json.Unmarshal([]byte(file.Text), &top))
	require.NoError(t, json.Unmarshal([]byte(file.Text), &inner))
	out := map[string]map[string]any{
		"": top.Properties, "address": inner.Defs["address"].Properties, "attachment": inner.Defs["attachment"].Properties,
	}
	for _, name := range []string{"envelope", "auth"} {
		if text, ok := inner.Properties[name]; ok {
			var o object
			require.NoError(t, json.Unmarshal(text, &o))
			out[name] = o.Properties
		}
	}
	return out
}

// bodyWith puts one value at a place of a shape.
func bodyWith(shape mail.Shape, place, name, value string) string {
	id, list := "event_id", "sender"
	if shape == mail.ShapeB {
		id, list = "id", "to"
	}
	field := strconv.Quote(name) + ":" + value
	switch place {
	case "":
		if name == id {
			return "{" + field + "}"
		}
	case "address":
		if name != "address" {
			field = `"address":"a@b.example",` + field
		}
		field = `"` + list + `":["",{` + field + `}]`
	case "attachment":
		field = `"attachments":[{},{` + field + `}]`
	case "element":
		field = strconv.Quote(name) + ":[" + value + "]"
	case "header":
		field = `"headers":{"x":` + value + `}`
	default:
		field = strconv.Quote(place) + ":{" + field + "}"
	}
	return `{"` + id + `":"a",` + field + "}"
}

// broken reports whether the reader finds more than unknown names.
func broken(body string) (bool, error) {
	head, err := Peek(strings.NewReader(body), Options{})
	return err != nil || head.Breaches > 0, err
}

// TestSchemasAndReaderAgreeOnEveryType puts every type of JSON into every field of
// the schema files: both must accept, or both refuse.
func TestSchemasAndReaderAgreeOnEveryType(t *testing.T) {
	t.Parallel()
	values := []string{`null`, `true`, `0`, `1.5`, `-1`, `-0`, `1e3`, `1e400`, `1e-400`, `-1e-400`, `""`, `"x"`, `[]`, `[null]`, `[7]`, `[[]]`, `{}`, `{"x":1}`}
	schemas := compilePublished(t)
	compared, refused := 0, 0
	for i, file := range SchemaFiles() {
		shape := []mail.Shape{mail.ShapeA, mail.ShapeB}[i]
		places := propertiesOf(t, file)
		places["header"] = map[string]any{"": nil}
		places["element"] = map[string]any{"headers": nil}
		for _, name := range []string{"sender", "recipient", "to", "cc", "attachments"} {
			if _, ok := places[""][name]; ok {
				places["element"][name] = nil
			}
		}
		for place, names := range places {
			for name := range names {
				for _, value := range values {
					body := bodyWith(shape, place, name, value)
					ok, why := schemas.accepts(t, shape, []byte(body))
					breach, err := broken(body)
					require.Equal(t, ok, !breach, "%s\nschema: %v\nreader: %v", body, why, err)
					compared++
					if !ok {
						refused++
					}
				}
			}
		}
	}
	require.Greater(t, compared, 900)
	require.Greater(t, refused, compared/3)
	require.Less(t, refused, compared)
}

// TestSchemasAndReaderAgreeOnEveryBound tests each bound and one beyond it.
func TestSchemasAndReaderAgreeOnEveryBound(t *testing.T) {
	t.Parallel()
	schemas := compilePublished(t)
	repeat := func(text string, n int) string { return strings.Repeat(text, n) }
	list := func(element string, n int) string { return "[" + repeat(element+",", n-1) + element + "]" }
	names := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"k%d":null`, i)
		}
		return b.String()[1:]
	}
	both, a, b := []mail.Shape{mail.ShapeA, mail.ShapeB}, []mail.Shape{mail.ShapeA}, []mail.Shape{mail.ShapeB}
	for field, c := range map[string]struct {
		shapes   []mail.Shape
		in, over string
	}{
		"event_id":           {a, strconv.Quote(repeat("a", 512)), strconv.Quote(repeat("a", 513))},
		"id":                 {b, strconv.Quote(repeat("a", 512)), strconv.Quote(repeat("a", 513))},
		"mailbox":            {a, strconv.Quote(repeat("a", MaxAddress)), strconv.Quote(repeat("a", MaxAddress+1))},
		"envelope.mail_from": {a, strconv.Quote(repeat("a", MaxAddress)), strconv.Quote(repeat("a", MaxAddress+1))},
		"envelope.rcpt_to":   {a, list(`"a"`, MaxRecipients), list(`"a"`, MaxRecipients+1)},
		"sender":             {a, list(`"a"`, MaxRecipients), list(`"a"`, MaxRecipients+1)},
		"recipient":          {a, list(`"a"`, MaxRecipients), list(`"a"`, MaxRecipients+1)},
		"to":                 {b, list(`{"address":"a"}`, MaxRecipients), list(`{"address":"a"}`, MaxRecipients+1)},
		"cc":                 {b, list(`"a"`, MaxRecipients), list(`"a"`, MaxRecipients+1)},
		"address.address":    {both, strconv.Quote(repeat("a", MaxAddress)), strconv.Quote(repeat("a", MaxAddress+1))},
		"address.x":          {both, `{}`, `{},` + names(MaxMembers)},
		"attachments":        {both, list(`{}`, MaxAttachments), list(`{}`, MaxAttachments+1)},
		"attachment.size":    {both, "9007199254740991", "9007199254740992"},
		"attachment.x":       {both, "0," + names(MaxMembers-1), "0," + names(MaxMembers)},
		"headers":            {both, `{"x":` + list(`""`, MaxHeaders) + `}`, `{"x":` + list(`""`, MaxHeaders+1) + `}`},
		"auth.x":             {a, "0," + names(MaxMembers-1), "0," + names(MaxMembers)},
		"auth":               {a, `{"` + repeat("n", maxName) + `":0}`, `{"` + repeat("n", maxName+1) + `":0}`},
		"x":                  {both, "0," + names(MaxMembers-2), "0," + names(MaxMembers-1)},
		"timestamp":          {a, "253402300799999", "253402300800000"},
		"receivedAt":         {b, "0", "-1"},
	} {
		place, name, nested := strings.Cut(field, ".")
		if !nested {
			place, name = "", field
		}
		for _, shape := range c.shapes {
			for value, want := range map[string]bool{c.in: true, c.over: false} {
				body := bodyWith(shape, place, name, value)
				ok, why := schemas.accepts(t, shape, []byte(body))
				require.Equal(t, want, ok, "%s: %v", field, why)
				breach, err := broken(body)
				require.Equal(t, want, !breach, "%s: %v", field, err)
			}
		}
	}
}

func TestSchemasAndReaderAgreeOnIDs(t *testing.T) {
	t.Parallel()
	schemas := compilePublished(t)
	for _, id := range []string{
		"", " ", "\t", " a ", "a\x00", "a\x1f", "a\x7f", "a\u0085", "a\u009f", "\u00a0", "\u00a0x", "a\u2028", "a\u2029", "\u3000\u2009 \u202f\u205f\u1680",
		"\ufeff", "a\ufffd", "é", "\u200b", "👋", "$", "\n", "a\n", "a\nb",
	} {
		text, err := json.Marshal(id)
		require.NoError(t, err)
		body := []byte(`{"event_id":` + string(text) + `}`)
		ok, why := schemas.accepts(t, mail.ShapeA, body)
		_, err = Peek(bytes.NewReader(body), Options{})
		require.Equal(t, err == nil, ok, "%q: schema %v, reader %v", id, why, err)
	}
}

// TestWhatNoSchemaCanSay checks the rules that are listed in the descriptions of the
// files: the schemas accept these bodies, the reader refuses them or reports a breach.
func TestWhatNoSchemaCanSay(t *testing.T) {
	t.Parallel()
	schemas := compilePublished(t)
	for name, body := range map[string]string{
		"a name twice":      `{"event_id":"a","x":1,"x":1}`,
		"depth":             `{"event_id":"a","x":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`,
		"bytes, characters": `{"event_id":"` + strings.Repeat("é", 257) + `"}`,
		"foreign names":     `{"event_id":"a","x":{"` + strings.Repeat("n", maxName+1) + `":1}}`,
		"headers in all":    `{"event_id":"a","headers":{"a":[` + strings.Repeat(`"",`, 600) + `""],"b":[` + strings.Repeat(`"",`, 600) + `""]}}`,
		"digits":            `{"event_id":"a","timestamp":1` + strings.Repeat("0", 5) + "." + strings.Repeat("0", 300) + `}`,
		"two ids":           `{"event_id":"a","id":"b"}`,
		"the other shape":   `{"event_id":"a","to":7}`,
	} {
		ok, err := schemas.accepts(t, mail.ShapeA, []byte(body))
		require.True(t, ok, "%s: %v", name, err)
		breach, _ := broken(body)
		require.True(t, breach, name)
	}
}

func TestSchemasRefuseNothingThatIsAccepted(t *testing.T) {
	t.Parallel()
	schemas := compilePublished(t)
	files, err := filepath.Glob("testdata/*.json")
	require.NoError(t, err)
	accepted := 0
	for _, file := range files {
		body, err := os.ReadFile(file)
		require.NoError(t, err)
		if !strings.HasSuffix(file, ".golden.json") && schemas.check(t, body) {
			accepted++
		}
	}
	require.GreaterOrEqual(t, accepted, 10)

	accepted = 0
	const bodies = 4000
	for seed := range uint64(bodies) {
		if schemas.check(t, randomBody(rand.New(rand.NewPCG(seed, 7)))) {
			accepted++
		}
	}
	require.Greater(t, accepted, bodies/5, "most of the family is refused: it proves little")
	require.Less(t, accepted, bodies*4/5, "most of the family is accepted: it proves little")
}

// randomBody returns an event of one shape or a mix of both, with mostly valid fields.
func randomBody(r *rand.Rand) []byte {
	wrong := r.IntN(2) == 0
	value := func(good ...string) string {
		if wrong && r.IntN(12) == 0 {
			good = []string{`null`, `false`, `1`, `-1e-400`, `1.5`, `"\ud800"`, `""`, `"\u0000"`, `[]`, `{}`, `[[1]]`, `["x",7]`, `{"address":1}`}
		}
		return good[r.IntN(len(good))]
	}
	address := func() string {
		return value(`"a@b.example"`, `"A <a@b.example>"`, `{"address":"a@b.example","name":"Ä"}`, `{"address":"","x":1}`, `null`, `""`)
	}
	addresses := func() string { return value("["+address()+","+address()+"]", `[]`, `null`, "["+address()+"]") }
	text := func() string { return value(`"x"`, `""`, `null`, `"\ud83d\ude00\n"`) }
	attachment := func() string {
		return `{"filename":` + text() + `,"size":` + value(`0`, `12`, `1e3`, `9007199254740991`, `-0`, `null`) +
			`,"contentId":` + text() + `,"content_base64":` + text() + `,"url":` + text() + `}`
	}
	when := func() string {
		return value(`"2026-11-02T09:15:00Z"`, `1793610900`, `1793610900000.5`, `"soon"`, `null`, `1e-7`)
	}
	fields := map[string]func() string{
		"event_id": func() string { return value(`"evt_1"`, `"evt_1"`, `"evt_1"`, `null`) }, "id": func() string { return value(`"evt_1"`, `null`) },
		"timestamp": when, "receivedAt": when, "type": text, "messageId": text, "subject": text, "text": text, "html": text, "mailbox": text,
		"envelope": func() string {
			return value(`{"mail_from":`+text()+`,"rcpt_to":`+value(`["a"]`, `[]`, `null`)+`}`, `null`, `{}`)
		},
		"sender": addresses, "recipient": addresses, "to": addresses, "cc": addresses,
		"from": func() string { return value(`{"address":"a@b.example"}`, `null`) },
		"auth": func() string { return value(`{"spf":`+text()+`,"arc":7}`, `null`) },
		"headers": func() string {
			return value(`{"x":`+text()+`,"y":[`+text()+`,`+text()+`]}`, `{}`, `null`)
		},
		"attachments": func() string { return value("["+attachment()+","+attachment()+"]", `[]`, `null`) },
		"unknown":     func() string { return value(`1e400`, `{"":[[]]}`) }, "rawMimeUrl": text, "raw_mime_base64": text,
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if strings.HasSuffix(name, "id") || r.IntN(2) == 0 {
			parts = append(parts, strconv.Quote(name)+":"+fields[name]())
		}
	}
	r.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
	return []byte("{" + strings.Join(parts, ",") + "}")
}

// hugeExponent is beyond the arbitrary precision of the validator.
var hugeExponent = regexp.MustCompile(`[eE][+-]?[0-9]{4}`)

// FuzzSchemas compares the schema files with what Peek accepts.
func FuzzSchemas(f *testing.F) {
	seed(f)
	for n := range uint64(50) {
		f.Add(randomBody(rand.New(rand.NewPCG(n, 1))), false)
	}
	schemas := compilePublished(f)
	f.Fuzz(func(t *testing.T, body []byte, _ bool) {
		if !hugeExponent.Match(body) {
			schemas.check(t, body)
		}
	})
}
