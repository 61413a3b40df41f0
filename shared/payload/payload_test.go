package payload

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/fault"
	"mailroom/shared/mail"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden is the expected result of a sample.
type golden struct {
	Code   fault.Code `json:"code,omitempty"`
	Public string     `json:"public,omitempty"`

	Event       *mail.Event `json:"event,omitempty"`
	Attachments []declared  `json:"attachments,omitempty"`
	Recipients  []string    `json:"recipients,omitempty"`
	MIME        string      `json:"mime,omitempty"`
}

// declared has the fields of an attachment that are not in its JSON.
type declared struct {
	mail.Attachment
	Declared int64  `json:"declared"`
	Checksum string `json:"checksum,omitempty"`
	Link     string `json:"link,omitempty"`
	Bytes    string `json:"bytes,omitempty"`
}

func TestDecodeGivesTheGoldenResult(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.json")
	require.NoError(t, err)
	seen := 0
	for _, file := range files {
		if strings.HasSuffix(file, ".golden.json") {
			continue
		}
		seen++
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			body, err := os.ReadFile(file)
			require.NoError(t, err)
			got, err := json.MarshalIndent(resultOf(t, body), "", "  ")
			require.NoError(t, err)
			path := strings.TrimSuffix(file, ".json") + ".golden.json"
			if *update {
				require.NoError(t, os.WriteFile(path, append(got, '\n'), 0o600))
			}
			want, err := os.ReadFile(path)
			require.NoError(t, err)
			require.JSONEq(t, string(want), string(got))
		})
	}
	require.GreaterOrEqual(t, seen, 20)
}

func resultOf(t *testing.T, body []byte) golden {
	t.Helper()
	head, err := Peek(bytes.NewReader(body), Options{})
	e, decodeErr := Decode(body, Options{})
	if err != nil {
		require.Equal(t, err, decodeErr)
		f := fault.From(err)
		return golden{Code: f.Code, Public: f.Public}
	}
	require.NoError(t, decodeErr)
	require.Equal(t, headOf(e), head)
	g := golden{Event: e, Recipients: head.Recipients, MIME: string(e.RawMIME)}
	for _, a := range e.Attachments {
		g.Attachments = append(g.Attachments, declared{
			Attachment: a, Declared: a.DeclaredSize, Checksum: a.DeclaredSHA256, Link: a.URL, Bytes: string(a.Content),
		})
	}
	e.RawMIME, e.Attachments = nil, nil
	return g
}

func TestPeekReadsInPiecesOfAnySize(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a_complete", "b_complete", "b_escapes", "legal_oddities", "a_problems"} {
		body, err := os.ReadFile(filepath.Join("testdata", name+".json"))
		require.NoError(t, err)
		want, err := Peek(bytes.NewReader(body), Options{})
		require.NoError(t, err)
		for _, r := range []func() (Head, error){
			func() (Head, error) { return Peek(iotest.OneByteReader(bytes.NewReader(body)), Options{}) },
			func() (Head, error) { return Peek(iotest.HalfReader(bytes.NewReader(body)), Options{}) },
			func() (Head, error) { return Peek(iotest.DataErrReader(bytes.NewReader(body)), Options{}) },
		} {
			got, err := r()
			require.NoError(t, err, name)
			require.Equal(t, want, got, name)
		}
	}
}

func TestPeekGivesTheReadersOwnFailure(t *testing.T) {
	t.Parallel()
	for _, before := range []string{"", `{`, `{"event_id":"a"`, `{"event_id":"a"}`, `{"event_id":`, `{"x":tr`, `{"size":1`, `{"subject":"abc`} {
		_, err := Peek(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader(before+" "))), Options{})
		if len(before) > 0 {
			require.ErrorIs(t, err, iotest.ErrTimeout, before)
		}
		_, err = Peek(failing{strings.NewReader(before)}, Options{})
		require.ErrorIs(t, err, os.ErrDeadlineExceeded, before)
		var f *fault.Error
		require.NotErrorAs(t, err, &f, before)
	}
}

// failing fails where its reader ends.
type failing struct{ r *strings.Reader }

func (f failing) Read(p []byte) (int, error) {
	if n, _ := f.r.Read(p); n > 0 {
		return n, nil
	}
	return 0, os.ErrDeadlineExceeded
}

func TestTimes(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 2, 9, 15, 0, 0, time.UTC)
	for in, want := range map[string]time.Time{
		`"2026-11-02T09:15:00Z"`:      at,
		`"2026-11-02T10:15:00+01:00"`: at,
		`"2026-11-02T09:15:00.5Z"`:    at.Add(500 * time.Millisecond),
		`1793610900`:                  at,
		`1793610900000`:               at,
		`1793610900.25`:               at.Add(250 * time.Millisecond),
		`1.7936109e9`:                 at,
		`"1793610900"`:                at,
		`"1793610900000"`:             at,
		`99999999999`:                 time.Unix(99999999999, 0).UTC(),
		`100000000000`:                time.UnixMilli(100000000000).UTC(),
		`0`:                           time.Unix(0, 0).UTC(),
		`""`:                          {},
		`null`:                        {},
	} {
		for _, name := range []string{"timestamp", "receivedAt"} {
			e, err := Decode([]byte(`{"event_id":"a","`+name+`":`+in+`}`), Options{})
			require.NoError(t, err, in)
			require.Equal(t, want, e.Timestamp, in)
			require.Empty(t, e.Problems, in)
		}
	}
	for _, in := range []string{`"soon"`, `"0000-01-01T00:00:00+01:00"`, `"99999999999999999999"`, `"-1"`} {
		e, err := Decode([]byte(`{"event_id":"a","timestamp":`+in+`}`), Options{})
		require.NoError(t, err, in)
		require.Zero(t, e.Timestamp, in)
		require.Equal(t, []mail.Problem{{Field: "timestamp", Detail: "is no time of RFC 3339"}}, e.Problems, in)
	}
}

func TestBase64(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "", "YQ==": "a", "YQ": "a", "YQ=": "a", "YWI=": "ab", "YWJj": "abc", "-_-_": "\xfb\xff\xbf", "+/+/": "\xfb\xff\xbf",
		"YW\r\nJj\r\n": "abc", "\nYQ=\n=": "a",
	} {
		got, ok := decodeBase64([]byte(in))
		require.True(t, ok, "%q", in)
		require.NotNil(t, got)
		require.Equal(t, want, string(got), "%q", in)
	}
	for _, in := range []string{"Y", "YQ===", "Y Q==", "YQ\t==", "YQ== ", "YQ==YQ==", "+_+_", "data:,YQ==", "é", "\x00"} {
		_, ok := decodeBase64([]byte(in))
		require.False(t, ok, "%q", in)
	}
}

func TestNoRecipientIsNotAnError(t *testing.T) {
	t.Parallel()
	head, err := Peek(strings.NewReader(`{"id":"a","to":[{"address":"","name":"x"}],"envelope":{"rcpt_to":["",null]}}`), Options{})
	require.NoError(t, err)
	require.Empty(t, head.Recipients)
}

func TestRecipientsPreferTheEnvelopeThenTheMailbox(t *testing.T) {
	t.Parallel()
	for body, want := range map[string][]string{
		`{"to":["t@x"],"mailbox":"m@x","envelope":{"rcpt_to":["e@x"]},"id":"a"}`: {"e@x"},
		`{"id":"a","to":["t@x"],"mailbox":"m@x"}`:                                {"m@x"},
		`{"id":"a","to":["t@x"],"cc":["c@x"]}`:                                   {"t@x", "c@x"},
		`{"event_id":"a","recipient":["r@x"],"to":["t@x"]}`:                      {"r@x"},
		`{"id":"a","recipient":["r@x"],"to":["t@x"]}`:                            {"t@x"},
	} {
		head, err := Peek(strings.NewReader(body), Options{})
		require.NoError(t, err)
		require.Equal(t, want, head.Recipients, body)
		e, err := Decode([]byte(body), Options{})
		require.NoError(t, err)
		require.Equal(t, want, e.Recipients(), body)
	}
}

func ExamplePeek() {
	body := strings.NewReader(`{"event_id": "evt_1", "envelope": {"rcpt_to": ["support@yourapp.example"]}}`)
	head, err := Peek(body, Options{})
	fmt.Println(head.ID, head.Shape, head.Recipients, err)
	wrong := `{"event_id": "evt_1", "attachments": [{"filename": 7}]}`
	head, err = Peek(strings.NewReader(wrong), Options{})
	fmt.Println(head.ID, head.Breaches, err)
	_, err = Peek(strings.NewReader(wrong), Options{Strict: true})
	fmt.Println(fault.From(err).Code, "-", fault.From(err).Public)
	// Output:
	// evt_1 A [support@yourapp.example] <nil>
	// evt_1 1 <nil>
	// field_invalid - attachments[0].filename must be a string
}
