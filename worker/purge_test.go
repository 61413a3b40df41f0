package worker

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/activities"
	"mailroom/shared/blob"
	"mailroom/shared/config"
	"mailroom/shared/contract"
	"mailroom/shared/decode"
	"mailroom/shared/ledger"
	"mailroom/shared/pgtest"
	"mailroom/shared/postgres"
	"mailroom/shared/testenv"
)

// sharedLogo is what every email of purgeRig has attached.
const sharedLogo = "a logo that stands under every mail"

// purgeRig is the real store step and the real purge on one database and object store.
type purgeRig struct {
	objects
	db     *pgtest.DB
	store  *activities.Store
	purge  *activities.Purge
	cfg    blob.Config
	before func(ledger.UnwantedObject) // a removal of the logo
	after  func(ledger.UnwantedObject)
	put    func(key string) // after an attachment was written
}

func newPurgeRig(t *testing.T) *purgeRig {
	t.Helper()
	s3 := testenv.S3(t)
	name := "purge-" + strings.ToLower(rand.Text()[:12])
	r := &purgeRig{db: pgtest.New(t), cfg: blob.Config{
		Endpoint: s3.Endpoint, AccessKey: config.NewSecret(s3.AccessKey), SecretKey: config.NewSecret(s3.SecretKey),
		RawBucket: name + "-raw", AttachmentsBucket: name + "-attachments",
	}}
	bucket, err := blob.New(r.cfg)
	require.NoError(t, err)
	require.NoError(t, bucket.EnsureBuckets(t.Context()))
	r.objects = objects{bucket}

	r.store, err = activities.NewStore(activities.StoreConfig{Parser: decode.Parser()},
		activities.StoreDeps{Ledger: r.db, Bodies: r, Objects: r, Decoder: decode.Decoder{}})
	require.NoError(t, err)
	r.purge, err = activities.NewPurge(activities.PurgeConfig{RemoveContent: true}, activities.PurgeDeps{
		Content: r.db, Removals: r.db, Objects: r,
	})
	require.NoError(t, err)
	return r
}

// PutAttachment implements activities.ObjectWriter.
func (r *purgeRig) PutAttachment(ctx context.Context, key string, content []byte) error {
	err := r.objects.PutAttachment(ctx, key, content)
	if r.put != nil {
		r.put(key)
	}
	return err
}

// Remove implements activities.ObjectRemover.
func (r *purgeRig) Remove(ctx context.Context, o ledger.UnwantedObject) error {
	if o.Bucket == "attachments" && r.before != nil {
		r.before(o)
	}
	err := r.objects.Remove(ctx, o)
	if o.Bucket == "attachments" && r.after != nil {
		r.after(o)
	}
	return err
}

// accept makes an email with the logo.
func (r *purgeRig) accept(t *testing.T, id string) contract.Email {
	t.Helper()
	body, err := json.Marshal(map[string]any{"event_id": id, "recipient": []string{"support@yourapp.example"}, "attachments": []any{
		map[string]any{"filename": "logo.png", "content_base64": base64.StdEncoding.EncodeToString([]byte(sharedLogo))},
	}})
	require.NoError(t, err)
	out, err := r.db.Accept(t.Context(), []postgres.Acceptance{{
		Source: "mailparse", EventID: id, WorkflowID: id, Tenant: "default", CorrelationID: id,
		BodySHA256: sha256.Sum256(body), Size: int64(len(body)), ReceivedAt: time.Now(), Body: body,
	}}, time.Minute)
	require.NoError(t, err)
	return out[0].Row.Email
}

func (r *purgeRig) run(t *testing.T, email contract.Email) error {
	t.Helper()
	_, err := r.store.Store(t.Context(), contract.StoreInput{Email: email})
	return err
}

func (r *purgeRig) discard(t *testing.T, email contract.Email) {
	t.Helper()
	at := time.Now().Add(-time.Hour).UnixMilli()
	require.NoError(t, r.db.Record(t.Context(), contract.RecordInput{Email: email, Sequence: at, State: contract.Discarded, AtUnixMilli: at}))
}

// requireWhole sees that everything an email's manifest names is in the object store.
func (r *purgeRig) requireWhole(t *testing.T, email contract.Email) {
	t.Helper()
	reader, err := blob.New(r.cfg) // with nothing at hand
	require.NoError(t, err)
	m, err := r.db.Manifest(t.Context(), email.ID)
	require.NoError(t, err)
	require.Len(t, m.Attachments, 1)
	sum := sha256.Sum256([]byte(sharedLogo))
	content, err := objects{reader}.Attachment(t.Context(), m.Attachments[0], 1<<10)
	require.NoError(t, err, "a manifest names an object that the purge has removed")
	require.Equal(t, hex.EncodeToString(sum[:]), m.Attachments[0].SHA256)
	require.Equal(t, sharedLogo, string(content))
	_, err = reader.ReadAll(t.Context(), blob.Raw, m.RawKey, 1<<20, "")
	require.NoError(t, err)
}

// TestPurgeAndStoreOfTheSameContent runs a store step before, while and after the purge
// removes an object that it has just written, on real servers.
func TestPurgeAndStoreOfTheSameContent(t *testing.T) {
	t.Parallel()
	purge := func(t *testing.T, r *purgeRig) {
		t.Helper()
		_, err := r.purge.Purge(t.Context(), contract.MaintenanceInput{})
		require.NoError(t, err)
	}
	refused := func(t *testing.T, err error) {
		t.Helper()
		require.ErrorContains(t, err, "being removed for another email")
	}
	for name, script := range map[string]func(t *testing.T, r *purgeRig, email contract.Email){
		"stored while it is removed": func(t *testing.T, r *purgeRig, email contract.Email) {
			t.Helper()
			removals := 0
			r.before = func(ledger.UnwantedObject) { removals++; refused(t, r.run(t, email)) }
			r.after = func(ledger.UnwantedObject) { refused(t, r.run(t, email)) }
			purge(t, r)
			require.Equal(t, 1, removals)
			require.NoError(t, r.run(t, email))
		},
		"removed while it is stored": func(t *testing.T, r *purgeRig, email contract.Email) {
			t.Helper()
			r.put = func(string) { r.put = nil; purge(t, r) }
			refused(t, r.run(t, email))
			require.NoError(t, r.run(t, email))
		},
		"stored before": func(t *testing.T, r *purgeRig, email contract.Email) {
			t.Helper()
			require.NoError(t, r.run(t, email))
			r.before = func(ledger.UnwantedObject) { require.Fail(t, "an email has it") }
			purge(t, r)
		},
		"the purge is killed in the middle": func(t *testing.T, r *purgeRig, email contract.Email) {
			t.Helper()
			_, err := r.db.RemoveContent(t.Context(), time.Now(), 10)
			require.NoError(t, err)
			list, err := r.db.BeginRemoval(t.Context(), 10)
			require.NoError(t, err)
			require.NotEmpty(t, list)
			refused(t, r.run(t, email))
			for _, o := range list { // the one that comes after it
				require.NoError(t, r.objects.Remove(t.Context(), o))
				require.NoError(t, r.objects.Remove(t.Context(), o), "a repeat")
				require.NoError(t, r.db.EndRemoval(t.Context(), o))
			}
			require.NoError(t, r.run(t, email))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newPurgeRig(t)
			old := r.accept(t, "old")
			require.NoError(t, r.run(t, old))
			r.discard(t, old)
			email := r.accept(t, "new")
			script(t, r, email)
			r.requireWhole(t, email)

			r.before, r.after = nil, nil
			r.discard(t, email)
			purge(t, r)
			sum := sha256.Sum256([]byte(sharedLogo))
			there, err := r.objects.store.Exists(t.Context(), blob.Attachments, contract.AttachmentKey(sum))
			require.NoError(t, err)
			require.False(t, there, "it is removed with the last email that has it")
		})
	}
}
