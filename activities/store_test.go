package activities_test

import (
	"context"
	"crypto/sha256"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/activities"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
)

// rawBody stands for what came in; the decoder of these tests does not read it.
const rawBody = `{"event_id":"evt-1"}`

type storeBench struct {
	*activities.Store
	books *books
	shelf *shelf
}

func setupStore(t *testing.T, body string, d decoder, c activities.StoreConfig) storeBench {
	t.Helper()
	b := storeBench{books: &books{}, shelf: &shelf{}}
	b.books.body = ledger.Body{Inline: []byte(body), SHA256: sha256.Sum256([]byte(body))}
	var err error
	b.Store, err = activities.NewStore(c, activities.StoreDeps{
		Ledger: b.books, Bodies: b.shelf, Objects: b.shelf, Decoder: d,
	})
	require.NoError(t, err)
	return b
}

func (b storeBench) run(t *testing.T, body string) (contract.StoreResult, error) {
	t.Helper()
	return b.Store.Store(t.Context(), contract.StoreInput{Email: email(len(body))})
}

// decoded is one mail of every kind of part; each call returns it anew, because
// Store takes it apart.
func decoded([]byte) (*mail.Event, []contract.Hold) {
	return &mail.Event{
		ID:       "evt-1",
		Envelope: mail.Envelope{MailFrom: "bounce@sender.example", RcptTo: []string{"a@x.example", "b@x.example"}},
		Message: mail.Message{
			MessageID: "<m1@sender.example>", Subject: "Hello", From: []mail.Address{{Address: "ann@sender.example"}},
			Text: "text", HTML: "<p>1 < 2</p>",
		},
		RawMIME: []byte("From: ann@sender.example\r\n\r\ntext"),
		Attachments: []mail.Attachment{
			{Filename: "a.txt", Content: []byte("one"), DeclaredSize: 3},
			{Filename: "again.txt", Content: []byte("one"), DeclaredSize: -1},
			{Filename: "empty.txt", Content: []byte{}, DeclaredSize: -1},
			{Filename: "unread.txt", DeclaredSize: -1},
			{Filename: "linked.txt", URL: "https://files.example/x", DeclaredSize: 9},
		},
	}, []contract.Hold{{Reason: contract.AttachmentUnfetchable, Detail: "a link"}}
}

func TestStore(t *testing.T) {
	t.Parallel()
	b := setupStore(t, rawBody, decoded, activities.StoreConfig{Budgets: contract.Budgets{ScanSeconds: 60}, Parser: "p/1"})
	out, err := b.run(t, rawBody)
	require.NoError(t, err)
	require.Equal(t, contract.StoreResult{
		Attachments: 5,
		Holds:       []contract.Hold{{Reason: contract.AttachmentUnfetchable, Detail: "a link"}},
		Budgets:     contract.Budgets{ScanSeconds: 60},
	}, out)

	m := b.books.manifest
	require.Equal(t, "p/1", m.Parser)
	sum := hexOf([]byte(rawBody))
	require.Equal(t, "body/"+sum[:2]+"/"+sum, m.RawKey)
	require.Equal(t, rawBody, string(b.shelf.raw[m.RawKey]))
	require.Contains(t, string(b.shelf.raw[m.MIMEKey]), "From: ann@")
	require.Regexp(t, `^mime/[0-9a-f]{2}/[0-9a-f]{64}$`, m.MIMEKey)
	require.Equal(t, "bounce@sender.example", m.Sender)
	require.Equal(t, []string{"a@x.example", "b@x.example"}, m.Recipients)
	require.Equal(t, "Hello", m.Subject)
	require.Equal(t, "<m1@sender.example>", m.MessageID)
	require.Empty(t, m.MessageKey)
	require.Contains(t, string(m.Message), "<p>1 < 2</p>")

	require.Len(t, m.Attachments, 5)
	one := hexOf([]byte("one"))
	require.Equal(t, one, m.Attachments[0].SHA256)
	require.Equal(t, one[:2]+"/"+one, m.Attachments[0].Key)
	require.Equal(t, m.Attachments[0].Key, m.Attachments[1].Key)
	require.Equal(t, int64(3), m.Attachments[0].Size)
	require.Equal(t, hexOf(nil), m.Attachments[2].SHA256)
	require.NotEmpty(t, m.Attachments[2].Key)
	for _, a := range m.Attachments[3:] {
		require.Empty(t, a.Key)
		require.Empty(t, a.SHA256)
	}
	require.Equal(t, "https://files.example/x", m.Attachments[4].URL)
	require.Len(t, b.shelf.attachments, 2)
	require.Equal(t, "one", string(b.shelf.attachments[m.Attachments[0].Key]))
	require.Equal(t, 4, b.shelf.puts, "the same bytes are written once")
	for _, a := range m.Attachments {
		require.Nil(t, a.Content)
	}
}

func TestStoreRepeatsGiveTheSame(t *testing.T) {
	t.Parallel()
	b := setupStore(t, rawBody, decoded, activities.StoreConfig{})
	b.books.lost = 1
	_, err := b.run(t, rawBody)
	requireCode(t, err, fault.StorageUnavailable, true)
	require.True(t, b.books.body.Stored, "it was saved all the same")
	first := *b.books.manifest

	for range 2 {
		out, err := b.run(t, rawBody)
		require.NoError(t, err)
		require.Equal(t, 5, out.Attachments)
		require.Len(t, out.Holds, 1)
		require.Equal(t, first, *b.books.manifest)
	}
	require.Equal(t, 3, b.books.manifests)
	require.Len(t, b.shelf.raw, 2)
	require.Len(t, b.shelf.attachments, 2)
}

func TestStoreReadsALargeBodyFromTheObjectStore(t *testing.T) {
	t.Parallel()
	body := `{"x":"` + strings.Repeat("y", 100<<10) + `"}`
	var got string
	b := setupStore(t, body, func(raw []byte) (*mail.Event, []contract.Hold) {
		got = string(raw)
		return decoded(raw)
	}, activities.StoreConfig{})
	b.books.body.Inline, b.books.body.Key = nil, "body/ab/cd"
	b.shelf.raw = map[string][]byte{"body/ab/cd": []byte(body)}
	_, err := b.run(t, body)
	require.NoError(t, err)
	require.Equal(t, body, got)
	require.Equal(t, "body/ab/cd", b.books.manifest.RawKey)
	require.Len(t, b.shelf.raw, 2, "the body is not written again")

	b.shelf.raw["body/ab/cd"] = []byte("altered")
	_, err = b.run(t, body)
	requireCode(t, err, fault.ContentLost, false)
}

func TestStoreRefusesAnotherInlineBody(t *testing.T) {
	t.Parallel()
	b := setupStore(t, rawBody, decoded, activities.StoreConfig{})
	b.books.body.Inline = []byte("altered")
	_, err := b.run(t, rawBody)
	requireCode(t, err, fault.ContentLost, false)
	require.Zero(t, b.shelf.puts)
}

// The inbox row goes only when everything is safe.
func TestStoreKeepsTheInboxUntilTheObjectsAreThere(t *testing.T) {
	t.Parallel()
	b := setupStore(t, rawBody, decoded, activities.StoreConfig{})
	b.shelf.down = true
	_, err := b.run(t, rawBody)
	requireCode(t, err, fault.StorageUnavailable, true)
	require.Zero(t, b.books.manifests)
	b.books.down = true
	_, err = b.run(t, rawBody)
	requireCode(t, err, fault.StorageUnavailable, true)
}

func TestStoreNothingDecoded(t *testing.T) {
	t.Parallel()
	hold := contract.Hold{Reason: contract.SchemaInvalid, Detail: "the JSON is malformed"}
	b := setupStore(t, rawBody, func([]byte) (*mail.Event, []contract.Hold) {
		return &mail.Event{}, []contract.Hold{hold}
	}, activities.StoreConfig{})
	out, err := b.run(t, rawBody)
	require.NoError(t, err)
	require.Equal(t, []contract.Hold{hold}, out.Holds)
	require.Equal(t, rawBody, string(b.shelf.raw[b.books.manifest.RawKey]))
	require.NotEmpty(t, b.books.manifest.Message, "the manifest can be read on")
}

func TestStoreLongTexts(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ü", 200_000)
	b := setupStore(t, rawBody, func([]byte) (*mail.Event, []contract.Hold) {
		return &mail.Event{Message: mail.Message{
			Subject: long, Text: long, MessageID: "<" + long, From: []mail.Address{{Address: "x" + long}},
		}}, nil
	}, activities.StoreConfig{})
	_, err := b.run(t, rawBody)
	require.NoError(t, err)
	m := b.books.manifest
	require.Empty(t, m.Message)
	require.Regexp(t, `^message/7/[0-9a-f]{64}$`, m.MessageKey)
	require.Greater(t, len(b.shelf.raw[m.MessageKey]), 400_000)
	require.Equal(t, 998, len(m.Subject))
	require.True(t, strings.HasPrefix(long, m.Subject))
	require.Equal(t, 997, len(m.Sender))
	require.Equal(t, 997, len(m.MessageID))
}

// TestStoreHoldsMailThatComesBack: a destination copies the header that Mailroom sent
// it into mail of its own. The mark was read and never written, and held any mail that
// a stranger wrote it into.
func TestStoreHoldsMailThatComesBack(t *testing.T) {
	t.Parallel()
	sent := email(0)
	back := contract.Hold{
		Reason: contract.LoopDetected, Detail: "the mail has the mark of an email that was here before: it comes back",
	}
	for name, c := range map[string]struct {
		headers []mail.Header
		earlier map[string][]string
		holds   []contract.Hold
		want    []contract.Hold
	}{
		"what was sent": {
			headers: []mail.Header{{Name: "x-mailroom-EVENT-id", Value: " " + contract.LoopMark(sent)}},
			earlier: map[string][]string{sent.Tenant: {sent.EventID}}, want: []contract.Hold{back},
		},
		"an id that was encoded": {
			headers: []mail.Header{{Name: contract.LoopHeader, Value: contract.LoopMark(contract.Email{EventID: "grün =?x?="})}},
			earlier: map[string][]string{sent.Tenant: {"grün =?x?="}}, want: []contract.Hold{back},
		},
		"an id that is too long": {
			headers: []mail.Header{{Name: contract.LoopHeader, Value: contract.LoopMark(contract.Email{EventID: strings.Repeat("é", 256), ID: 3})}},
			earlier: map[string][]string{sent.Tenant: {"%x3"}}, want: []contract.Hold{back},
		},
		"one of several": {
			headers: []mail.Header{{Name: contract.LoopHeader, Value: "%"}, {Name: contract.LoopHeader, Value: "x"}, {Name: contract.LoopHeader, Value: "y"}},
			earlier: map[string][]string{sent.Tenant: {"y"}}, want: []contract.Hold{back},
		},
		"an email of no tenant": {headers: []mail.Header{{Name: contract.LoopHeader, Value: "evt_guessed"}}},
		"an email of another tenant": {
			headers: []mail.Header{{Name: contract.LoopHeader, Value: "theirs"}}, earlier: map[string][]string{"other": {"theirs"}},
		},
		"another header": {headers: []mail.Header{{Name: "X-Event-Id", Value: "y"}}, earlier: map[string][]string{sent.Tenant: {"y"}}},
		"a circle already": {
			headers: []mail.Header{{Name: contract.LoopHeader, Value: "y"}}, earlier: map[string][]string{sent.Tenant: {"y"}},
			holds: []contract.Hold{{Reason: contract.LoopDetected, Detail: "101"}}, want: []contract.Hold{{Reason: contract.LoopDetected, Detail: "101"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setupStore(t, rawBody, func([]byte) (*mail.Event, []contract.Hold) {
				return &mail.Event{Message: mail.Message{Headers: c.headers}}, c.holds
			}, activities.StoreConfig{})
			b.books.earlier = c.earlier
			out, err := b.run(t, rawBody)
			require.NoError(t, err)
			require.Equal(t, c.want, out.Holds)
			require.Equal(t, 1, b.books.manifests)
		})
	}
}

func TestStoreSenderFallsBackToFrom(t *testing.T) {
	t.Parallel()
	b := setupStore(t, rawBody, func([]byte) (*mail.Event, []contract.Hold) {
		return &mail.Event{
			Mailbox: "box@x.example",
			Message: mail.Message{From: []mail.Address{{Address: "ann@sender.example"}}, To: []mail.Address{{Address: "other@x.example"}}},
		}, nil
	}, activities.StoreConfig{})
	_, err := b.run(t, rawBody)
	require.NoError(t, err)
	require.Equal(t, "ann@sender.example", b.books.manifest.Sender)
	require.Equal(t, []string{"box@x.example"}, b.books.manifest.Recipients)
}

// Large mails wait for one another, small ones for none.
func TestStoreBoundsMemory(t *testing.T) {
	t.Parallel()
	const large = 10 << 20
	var now, most atomic.Int32
	inside, hold := make(chan struct{}, 100), make(chan struct{})
	b := setupStore(t, rawBody, func([]byte) (*mail.Event, []contract.Hold) {
		most.Store(max(most.Load(), now.Add(1)))
		inside <- struct{}{}
		<-hold
		now.Add(-1)
		return &mail.Event{}, nil
	}, activities.StoreConfig{Memory: 3 * 5 * large})
	run := func(ctx context.Context, size int64) error {
		e := email(0)
		e.Size = size
		_, err := b.Store.Store(ctx, contract.StoreInput{Email: e})
		return err
	}
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() { _ = run(context.Background(), large) })
	}
	for range 3 {
		<-inside
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	requireCode(t, run(ctx, large), fault.Overloaded, true)
	require.Equal(t, int32(3), most.Load())

	small := make(chan error, 1)
	go func() { small <- run(context.Background(), 4096) }()
	<-inside
	close(hold)
	require.NoError(t, <-small)
	all.Wait()
	require.LessOrEqual(t, most.Load(), int32(4))
	require.NoError(t, run(t.Context(), 1<<40), "more than the whole budget takes the whole budget")
}

func TestStorePanicIsInternal(t *testing.T) {
	t.Parallel()
	b := setupStore(t, rawBody, func([]byte) (*mail.Event, []contract.Hold) { panic("poison") }, activities.StoreConfig{})
	_, err := b.run(t, rawBody)
	requireCode(t, err, fault.Internal, true)
	require.NotContains(t, err.Error(), "poison")
}

func TestNewStoreNeedsAll(t *testing.T) {
	t.Parallel()
	_, err := activities.NewStore(activities.StoreConfig{}, activities.StoreDeps{})
	require.Error(t, err)
}
