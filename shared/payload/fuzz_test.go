package payload

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/mail"
	"mailroom/shared/mime/filename"
)

func seed(f *testing.F) {
	f.Helper()
	files, err := filepath.Glob("testdata/*.json")
	require.NoError(f, err)
	for _, file := range files {
		if strings.HasSuffix(file, ".golden.json") {
			continue
		}
		body, err := os.ReadFile(file)
		require.NoError(f, err)
		f.Add(body, false)
		f.Add(body, true)
	}
	for _, body := range []string{
		"", "{", `{"id":"\ud800"}`, `{"id":"a","x":[[[[]]]]}`, `{"id":"a","attachments":[{"size":1e2,"content_base64":"\u0059Q"}]}`,
		`{"id":"a","headers":{"":["",null]}}`, `{"id":"a","timestamp":1e11,"receivedAt":"1"}`, `{"id":"a","to":["<","a <b>"]}`,
	} {
		f.Add([]byte(body), false)
	}
}

// FuzzPeek compares Peek with the standard library on what is JSON, and with itself on
// a body that arrives in other pieces.
func FuzzPeek(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, body []byte, strict bool) {
		opt := Options{Strict: strict}
		head, err := Peek(bytes.NewReader(body), opt)
		piecewise, pieceErr := Peek(iotest.OneByteReader(bytes.NewReader(body)), opt)
		if err != nil {
			var f *fault.Error
			require.ErrorAs(t, err, &f)
			require.Contains(t, []fault.Code{
				fault.JSONMalformed, fault.EventIDMissing, fault.EventIDInvalid, fault.FieldInvalid, fault.FieldUnknown,
			}, f.Code)
			require.True(t, utf8.ValidString(f.Public))
			require.Equal(t, f.Code, fault.From(pieceErr).Code)
			if f.Code != fault.JSONMalformed && len(body) < maxName {
				require.True(t, json.Valid(body), "%s for a body that is not JSON", f.Code)
			}
			if strings.Contains(f.Public, "syntax error") || strings.Contains(f.Public, "ends too early") {
				require.False(t, json.Valid(body), "%s for a body that is JSON", f.Public)
			}
			return
		}
		require.NoError(t, pieceErr)
		require.Equal(t, head, piecewise)
		require.True(t, json.Valid(body))
		require.True(t, utf8.Valid(body))
		require.NotEmpty(t, strings.TrimSpace(head.ID))
		require.LessOrEqual(t, len(head.ID), contract.MaxEventID)
		require.False(t, strings.ContainsFunc(head.ID, notInID))
		if strict {
			require.Zero(t, head.Unknown)
		}
	})
}

// FuzzDecode compares Decode with Peek, and checks the invariants of package mail.
func FuzzDecode(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, body []byte, strict bool) {
		opt := Options{Strict: strict}
		head, err := Peek(bytes.NewReader(body), opt)
		e, decodeErr := Decode(body, opt)
		require.Equal(t, err, decodeErr)
		if err != nil {
			require.Nil(t, e)
			return
		}
		require.Equal(t, head, headOf(e))
		checkStrings(t, reflect.ValueOf(*e))
		for _, a := range e.Attachments {
			checkAttachment(t, a)
		}
		for _, when := range []interface{ MarshalJSON() ([]byte, error) }{e.Timestamp, e.Message.Date} {
			_, err := when.MarshalJSON()
			require.NoError(t, err)
		}
	})
}

func checkAttachment(t *testing.T, a mail.Attachment) {
	t.Helper()
	require.Equal(t, filename.Clean(a.Filename, ""), a.Filename)
	require.Equal(t, int64(len(a.Content)), a.Size)
	require.Equal(t, a.Content == nil, a.SHA256 == "")
	require.True(t, a.URL == "" || a.Content == nil)
	require.GreaterOrEqual(t, a.DeclaredSize, int64(-1))
	require.Contains(t, []int{0, 64}, len(a.DeclaredSHA256))
}

// checkStrings walks every string of v.
func checkStrings(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.String:
		if s := v.String(); !utf8.ValidString(s) || strings.Contains(s, "\x00") {
			t.Fatalf("not clean text: %q", s)
		}
	case reflect.Struct:
		if v.Type().PkgPath() == "time" {
			return
		}
		for i := range v.NumField() {
			checkStrings(t, v.Field(i))
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return
		}
		for i := range v.Len() {
			checkStrings(t, v.Index(i))
		}
	default:
	}
}
