package decode

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/contract"
	"mailroom/shared/edit"
	"mailroom/shared/mail"
	"mailroom/shared/payload"
)

func TestEditHealsAnEventThatCannotBeRead(t *testing.T) {
	t.Parallel()
	text := []byte(`{"eventId":"e","rcpt":["support@yourapp.example"],"subject":"Hi"}`)
	_, holds := Decoder{}.Decode(text, nil)
	require.Equal(t, contract.SchemaInvalid, holds[0].Reason)
	e, holds := Decoder{}.Decode(text, &contract.Edit{Fields: map[string]string{"eventId": "event_id", "rcpt": "recipient"}})
	require.Empty(t, holds)
	require.Equal(t, []string{"support@yourapp.example"}, e.Recipients())
}

func TestEditGivesTheCharset(t *testing.T) {
	t.Parallel()
	raw := "From: a@b.example\r\nSubject: caf\xe8\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\xcf\xf0\xe8\xe2\xe5\xf2"
	mailed, err := json.Marshal(map[string]string{"event_id": "e", "raw_mime_base64": base64.StdEncoding.EncodeToString([]byte(raw))})
	require.NoError(t, err)
	for name, c := range map[string]struct {
		body          string
		charset       string
		subject, text string
	}{
		"raw mail":                  {string(mailed), "windows-1251", "cafи", "Привет"},
		"provider read Latin-1":     {`{"event_id":"e","subject":"cafÃ©","text":"Ïðèâåò"}`, "utf-8", "café", "Ïðèâåò"},
		"provider read 1252":        {`{"event_id":"e","subject":"â‚¬","text":"x"}`, "utf-8", "€", "x"},
		"provider's text is not it": {`{"event_id":"e","subject":"café","text":"Привет"}`, "utf-8", "café", "Привет"},
		"lost":                      {`{"event_id":"e","subject":"caf\ufffd","text":"x"}`, "utf-8", "caf\uFFFD", "x"},
		"unknown":                   {`{"event_id":"e","subject":"cafÃ©","text":"x"}`, "klingon", "cafÃ©", "x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, holds := Decoder{}.Decode([]byte(c.body), &contract.Edit{Charset: c.charset})
			require.Empty(t, holds)
			require.Equal(t, c.subject, e.Message.Subject)
			require.Equal(t, c.text, e.Message.Text)
		})
	}
}

func TestMendReadsNamesAndHeaders(t *testing.T) {
	t.Parallel()
	e := &mail.Event{Message: mail.Message{
		From: []mail.Address{{Name: "BÃ¶b", Address: "b@b.example"}}, Headers: []mail.Header{{Name: "X", Value: "Ã¶"}},
	}}
	readingOf(&contract.Edit{Charset: "utf-8"}).redecodeFields(e)
	require.Equal(t, "Böb", e.Message.From[0].Name)
	require.Equal(t, "ö", e.Message.Headers[0].Value)
}

// TestTargetsAreTheMembersOfAnEvent: an edit may read members as those that the schemas
// name.
func TestTargetsAreTheMembersOfAnEvent(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, file := range payload.SchemaFiles() {
		var schema struct {
			Properties map[string]any `json:"properties"`
		}
		require.NoError(t, json.Unmarshal([]byte(file.Text), &schema))
		for name := range schema.Properties {
			names[name] = true
		}
	}
	require.Equal(t, slices.Sorted(maps.Keys(names)), slices.Sorted(slices.Values(edit.Targets())))
}
