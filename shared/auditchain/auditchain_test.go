package auditchain

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"mailroom/shared/contract"
)

// appended puts an entry at the end of a chain.
func appended(c *Chain, e Entry) Entry {
	e.Seq, e.PrevHash = c.head.Seq+1, c.head.Hash
	e.AtUnixMicro = 1_790_000_000_000_000 + e.Seq
	e.ContentHash = sha256.Sum256(e.Content())
	e.Hash = Link(e.Seq, e.PrevHash, e.ContentHash)
	c.head = Head{Seq: e.Seq, Hash: e.Hash}
	return e
}

// example is an export of an email with one decision, among entries of others.
func example(t testing.TB) *Document {
	t.Helper()
	at := time.Date(2026, 11, 25, 7, 0, 0, 123456000, time.UTC)
	raw := sha256.Sum256([]byte("raw"))
	text := hex.EncodeToString(raw[:])
	d := &Document{Format: Format, Record: Record{
		EventID: "evt_<1>", Source: "mailparse", Tenant: "default", WorkflowID: "evt_<1>", CorrelationID: "c", MessageID: "<m@x>",
		EmailID: 7, ReceivedAt: at, ExportedAt: at, State: "delivered", ClosedAt: &at,
		Raw: Hashed{SHA256: text, Size: 3}, MIME: &Hashed{SHA256: text, Size: -1},
		Verified: Verified{Scheme: "timestamp-hmac", Key: 1, Ref: "env:WEBHOOK_SECRET"},
		Stored:   Stored{At: &at, Parser: "mailroom/1"}, Inspected: Inspected{At: &at, Scanner: "ClamAV 1.0.7", Database: "1"},
		Routed:      Routed{At: &at, Rules: "0a1b", Routes: []string{"support"}},
		Attachments: []Attachment{{Filename: "a\u2028\"\x01.pdf", SHA256: text, Size: 3, Verdict: "clean"}},
		Deliveries: []Delivery{{Destination: "ticketing", State: "delivered", IdempotencyKey: "k", DeliveredAt: &at,
			Attempts: []Attempt{{Number: 1, At: at, TookMS: 12, Status: 202}}}},
		Decisions: []Decision{{At: at, Action: "approve", Actor: "anna", Via: "api", Note: "<script>alert(1)</script> & more",
			Reason: "infected", Before: "quarantined", After: "processing", Sequence: 5, Seq: 3}},
		States: []StateChange{{At: at, State: "quarantined", Reason: "infected", Detail: "attachment 1"}},
	}}
	var c Chain
	other := Entry{Kind: "token", Tenant: "acme", Actor: "bob", Via: "console", Body: `{"secret":"of another tenant"}`}
	appended(&c, other)
	second := appended(&c, other)
	mine := Entry{Kind: KindDecision, EmailID: 7, EventID: "evt_<1>", Source: "mailparse", Tenant: "default", Actor: "anna", Via: "api"}
	body, err := json.Marshal(map[string]any{
		"email_id": 7, "sequence": 5, "action": "approve", "actor": "anna", "via": "api", "note": d.Record.Decisions[0].Note,
		"reason": "infected", "state_before": "quarantined", "state_after": "processing", "decided_at_us": at.UnixMicro(),
	})
	require.NoError(t, err)
	mine.Body = string(body)
	decision := appended(&c, mine)
	between := appended(&c, other)
	body, err = ExportBody(&d.Record)
	require.NoError(t, err)
	mine.Kind, mine.Actor, mine.Body = KindExport, "olga", string(body)
	export := appended(&c, mine)
	d.Proof = Proof{
		From: 3, Prev: second.Hash, Links: []contract.Digest{decision.ContentHash, between.ContentHash, export.ContentHash},
		Entries: []Entry{decision, export}, Head: c.Head(),
	}
	return d
}

func encoded(t testing.TB, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return text
}

func TestExportVerifies(t *testing.T) {
	t.Parallel()
	d := example(t)
	text := encoded(t, d)
	got, known, err := Read(text, d.Proof.Head, Head{Seq: 2, Hash: d.Proof.Prev}, Head{Seq: 1})
	require.NoError(t, err)
	require.Equal(t, d, got)
	require.Equal(t, 2, known, "entry 1 lies before this part of the chain")
	require.NotContains(t, string(text), "another tenant")
	_, _, err = Read(text, Head{Seq: 4, Hash: d.Proof.Head.Hash})
	var broken *Broken
	require.ErrorAs(t, err, &broken)
	require.EqualValues(t, 4, broken.Seq)

	// However it is laid out, it is the same.
	var laid bytes.Buffer
	require.NoError(t, json.Indent(&laid, text, "", "  "))
	_, _, err = Read(laid.Bytes())
	require.NoError(t, err)
	require.True(t, got.Record.RawMatches([]byte("raw")))
	require.False(t, got.Record.RawMatches([]byte("row")))
}

// mutations returns every document that differs from v in one value.
func mutations(v any, visit func(path string, changed any)) {
	switch v := v.(type) {
	case map[string]any:
		for name, old := range v {
			mutations(old, func(path string, changed any) {
				v[name] = changed
				visit("."+name+path, v)
			})
			v[name] = old
			delete(v, name)
			visit("."+name+" left out", v)
			v[name] = old
		}
		v["more"] = "x"
		visit(".more", v)
		delete(v, "more")
	case []any:
		for i, old := range v {
			mutations(old, func(path string, changed any) {
				v[i] = changed
				visit(fmt.Sprintf("[%d]%s", i, path), v)
			})
			v[i] = old
			visit(fmt.Sprintf("[%d] left out", i), append(append([]any{}, v[:i]...), v[i+1:]...))
		}
		visit(" longer", append(append([]any{}, v...), "x"))
	case string:
		visit("", v+"0")
		if v != "" {
			last := byte('0')
			if v[len(v)-1] == '0' {
				last = '1'
			}
			visit("", v[:len(v)-1]+string(last))
		}
		visit("", nil)
	case float64:
		visit("", v+1)
		visit("", nil)
	case nil:
		visit("", "x")
	}
}

// TestEveryMutationIsFound changes each value of the file by itself.
func TestEveryMutationIsFound(t *testing.T) {
	t.Parallel()
	var tree any
	require.NoError(t, json.Unmarshal(encoded(t, example(t)), &tree))
	_, _, err := Read(encoded(t, tree))
	require.NoError(t, err)
	tried := 0
	mutations(tree, func(path string, changed any) {
		tried++
		_, _, err := Read(encoded(t, changed))
		require.Error(t, err, path)
	})
	require.Greater(t, tried, 200)
	_, _, err = Read(encoded(t, tree))
	require.NoError(t, err, "the mutations were taken back")
}

// To forge a record is to forge the chain: then its end is another one.
func TestForgedExportHasAnotherHead(t *testing.T) {
	t.Parallel()
	kept := example(t).Proof.Head
	d := example(t)
	d.Record.Verified.Key = 2
	body, err := ExportBody(&d.Record)
	require.NoError(t, err)
	export := &d.Proof.Entries[1]
	export.Body = string(body)
	export.ContentHash = sha256.Sum256(export.Content())
	export.Hash = Link(export.Seq, export.PrevHash, export.ContentHash)
	d.Proof.Links[2], d.Proof.Head.Hash = export.ContentHash, export.Hash
	_, _, err = Read(encoded(t, d))
	require.NoError(t, err)
	_, _, err = Read(encoded(t, d), kept)
	require.Error(t, err)
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	text := string(encoded(t, example(t)))
	for name, bad := range map[string]string{
		"nothing":        "",
		"no object":      "[]",
		"null":           "null",
		"empty":          "{}",
		"other format":   strings.Replace(text, Format, "mailroom.custody.v2", 1),
		"twice":          strings.Replace(text, `"record":{`, `"record":{"event_id":"other",`, 1),
		"something else": text + "{}",
		"no UTF-8":       strings.Replace(text, "anna", "ann\xff", 1),
		"a fraction":     strings.Replace(text, `"size":3`, `"size":3.0`, 1),
		"deep":           strings.Repeat("[", 100_000),
	} {
		_, _, err := Read([]byte(bad))
		require.Error(t, err, name)
	}
}

func TestCanonicalForm(t *testing.T) {
	t.Parallel()
	// RFC 8785 §3.2.3, without what is not whole or not ASCII in a name.
	got, err := canonical([]byte(`{ "b": [1, null, true, false, -7], "a": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "": {} }`))
	require.NoError(t, err)
	require.Equal(t, `{"":{},"a":"€$\u000f\nA'B\"\\\\\"/","b":[1,null,true,false,-7]}`, string(got))
}

func TestChainFindsEachChange(t *testing.T) {
	t.Parallel()
	var made Chain
	entries := make([]Entry, 4)
	for i := range entries {
		entries[i] = appended(&made, Entry{Kind: "k", EmailID: int64(i), EventID: "e", Source: "s", Tenant: "t", Actor: "a", Via: "v", Body: "{}"})
	}
	check := func(list []Entry) error {
		var c Chain
		for i := range list {
			if err := c.Add(&list[i]); err != nil {
				return err
			}
		}
		return nil
	}
	require.NoError(t, check(entries))
	for name, change := range map[string]func(e *Entry){
		"seq": func(e *Entry) { e.Seq++ }, "at": func(e *Entry) { e.AtUnixMicro++ }, "kind": func(e *Entry) { e.Kind += "x" },
		"email": func(e *Entry) { e.EmailID++ }, "event": func(e *Entry) { e.EventID += "x" }, "source": func(e *Entry) { e.Source = "" },
		"tenant": func(e *Entry) { e.Tenant, e.Actor = "ta", "" }, "actor": func(e *Entry) { e.Actor = "b" }, "via": func(e *Entry) { e.Via = "" },
		"body": func(e *Entry) { e.Body = "{} " }, "content": func(e *Entry) { e.ContentHash[0]++ },
		"prev": func(e *Entry) { e.PrevHash[0]++ }, "hash": func(e *Entry) { e.Hash[31]++ },
		"rewritten": func(e *Entry) { e.Actor = "b"; e.ContentHash = sha256.Sum256(e.Content()) },
	} {
		list := append([]Entry{}, entries...)
		change(&list[1])
		var broken *Broken
		require.ErrorAs(t, check(list), &broken, name)
		require.EqualValues(t, 2, broken.Seq, name)
	}
	var broken *Broken
	require.ErrorAs(t, check(append(append([]Entry{}, entries[:1]...), entries[2:]...)), &broken)
	require.EqualValues(t, 2, broken.Seq, "what was taken out")
	// One entry that was rewritten whole shows at the next.
	list := append([]Entry{}, entries...)
	list[1].Actor = "b"
	list[1].ContentHash = sha256.Sum256(list[1].Content())
	list[1].Hash = Link(2, list[1].PrevHash, list[1].ContentHash)
	require.ErrorAs(t, check(list), &broken)
	require.EqualValues(t, 3, broken.Seq)
}

func TestParseHead(t *testing.T) {
	t.Parallel()
	h := Head{Seq: 12, Hash: sha256.Sum256(nil)}
	got, err := ParseHead(h.String())
	require.NoError(t, err)
	require.Equal(t, h, got)
	for _, bad := range []string{"", "12", ":", "12:", "012:" + h.String()[3:], "-1:" + h.String()[3:], h.String() + "0", "x:" + h.String()[3:]} {
		_, err := ParseHead(bad)
		require.Error(t, err, bad)
	}
}

func TestPageEscapes(t *testing.T) {
	t.Parallel()
	d := example(t)
	d.Record.Source, d.Record.Attachments[0].Filename = "<img src=x>", `"><script>x</script>`
	page, err := Page(d)
	require.NoError(t, err)
	text := string(page)
	require.NotContains(t, text, "<script")
	require.NotContains(t, text, "<img")
	require.Contains(t, text, "&lt;script&gt;alert(1)&lt;/script&gt;")
	require.Contains(t, text, d.Proof.Head.String())
	require.NotContains(t, text, "src=\"http")
}

func TestSchemaHoldsTheExample(t *testing.T) {
	t.Parallel()
	file, err := os.Open("mailroom.custody.v1.json")
	require.NoError(t, err)
	defer func() { require.NoError(t, file.Close()) }()
	document, err := jsonschema.UnmarshalJSON(file)
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	require.NoError(t, c.AddResource("schema.json", document))
	compiled, err := c.Compile("schema.json")
	require.NoError(t, err)
	var tree any
	require.NoError(t, json.Unmarshal(encoded(t, example(t)), &tree))
	require.NoError(t, compiled.Validate(tree))
	refused := 0
	mutations(tree, func(_ string, changed any) {
		if compiled.Validate(changed) != nil {
			refused++
		}
	})
	require.Greater(t, refused, 100)
}

func FuzzRead(f *testing.F) {
	valid := encoded(f, example(f))
	f.Add(valid)
	f.Add([]byte(`{"format":"mailroom.custody.v1","record":{},"proof":{"from":1,"content_hashes":[],"entries":[]}}`))
	f.Add([]byte(`{}`))
	want := example(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		d, _, err := Read(text, want.Proof.Head)
		if err != nil {
			require.Nil(t, d)
			return
		}
		// What verifies reads as itself again, and with the head that was kept it
		// is the export that was made.
		_, _, err = Read(encoded(t, d))
		require.NoError(t, err)
		if d.Proof.Head == want.Proof.Head {
			require.Equal(t, want.Record, d.Record)
		}
		_, err = Page(d)
		require.NoError(t, err)
	})
}
