package postgres_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
	"mailroom/shared/pgtest"
	"mailroom/shared/postgres"
	"mailroom/shared/testenv"
)

// having is a manifest with one attachment.
func having(id int64, key string) ledger.Manifest {
	return ledger.Manifest{
		EmailID: id, RawKey: fmt.Sprintf("body/%d", id), Message: []byte("{}"),
		Attachments: []mail.Attachment{{Filename: "logo.png", Key: key, SHA256: key}},
	}
}

// discarded makes an email that had the attachment and whose content was removed.
func discarded(t *testing.T, db *pgtest.DB, name, key string) {
	t.Helper()
	email := accept(t, db, event(name, name))[0].Row.Email
	body, err := db.Body(t.Context(), email.ID)
	require.NoError(t, err)
	m := having(email.ID, key)
	m.Removals = body.Removals
	require.NoError(t, db.SaveManifest(t.Context(), m))
	discard(t, db, email)
}

func discard(t *testing.T, db *pgtest.DB, email contract.Email) {
	t.Helper()
	at := time.Now().Add(-time.Hour).UnixMilli()
	require.NoError(t, db.Record(t.Context(), contract.RecordInput{Email: email, Sequence: at, State: contract.Discarded, AtUnixMilli: at}))
	n, err := db.RemoveContent(t.Context(), time.Now(), 10)
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
}

// storing is the store step of one email and its object store.
type storing struct {
	db      *pgtest.DB
	email   contract.Email
	key     string
	objects map[string]bool
	read    ledger.Body
	saved   bool
}

func (s *storing) steps(t *testing.T) []func() {
	t.Helper()
	return []func(){
		func() {
			var err error
			s.read, err = s.db.Body(t.Context(), s.email.ID)
			require.NoError(t, err)
		},
		func() { s.objects[s.key] = true },
		func() {
			m := having(s.email.ID, s.key)
			m.Removals = s.read.Removals
			err := s.db.SaveManifest(t.Context(), m)
			s.saved = err == nil
			if err != nil {
				require.True(t, fault.Is(err, fault.StorageUnavailable), "%v", err)
				require.True(t, fault.From(err).Temporary, "it is tried again")
				again, err := s.db.Body(t.Context(), s.email.ID)
				require.NoError(t, err)
				require.False(t, again.Stored, "nothing was saved")
			}
		},
	}
}

// orders are all ways to let a steps and b steps follow each other: true is one of a.
func orders(a, b int) [][]bool {
	if a+b == 0 {
		return [][]bool{nil}
	}
	var out [][]bool
	if a > 0 {
		for _, rest := range orders(a-1, b) {
			out = append(out, append([]bool{true}, rest...))
		}
	}
	if b > 0 {
		for _, rest := range orders(a, b-1) {
			out = append(out, append([]bool{false}, rest...))
		}
	}
	return out
}

// TestPurgeRemovesNothingThatIsBeingStored lets a purge and the store step of an email
// with the same attachment follow each other in every order: in the end the manifest
// names an object that is there.
func TestPurgeRemovesNothingThatIsBeingStored(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	ctx := t.Context()
	all := orders(3, 3)
	require.Len(t, all, 20)
	refused := 0
	for i, order := range all {
		key := fmt.Sprintf("aa/%d", i)
		discarded(t, db, fmt.Sprintf("old%d", i), key)
		s := &storing{db: db, email: accept(t, db, event(fmt.Sprintf("new%d", i), "new"))[0].Row.Email, key: key, objects: map[string]bool{key: true}}
		attachment := ledger.UnwantedObject{Bucket: "attachments", Key: key}
		var marked []ledger.UnwantedObject
		purge := []func(){
			func() {
				var err error
				marked, err = db.BeginRemoval(ctx, 10)
				require.NoError(t, err)
			},
			func() {
				if slices.Contains(marked, attachment) {
					delete(s.objects, key)
				}
			},
			func() {
				for _, o := range marked {
					require.NoError(t, db.EndRemoval(ctx, o))
				}
			},
		}
		store := s.steps(t)
		for _, storesTurn := range order {
			if storesTurn {
				store[0]()
				store = store[1:]
			} else {
				purge[0]()
				purge = purge[1:]
			}
		}
		if !s.saved {
			refused++
			for _, step := range s.steps(t) {
				step()
			}
		}
		require.True(t, s.saved, "order %d %v: it is saved in the end", i, order)
		require.True(t, s.objects[key], "order %d %v: a manifest names an object that the purge has removed", i, order)
	}
	require.Positive(t, refused)
	require.Less(t, refused, len(all))
}

// A manifest that is not committed when the mark is asked for is seen by it.
func TestRemovalWaitsForManifestsUnderWay(t *testing.T) {
	t.Parallel()
	url, ctx := pgtest.URL(t), t.Context()
	db := pgtest.Open(t, url, 2)
	discarded(t, db, "old", "aa/1")
	email := accept(t, db, event("new", "new"))[0].Row.Email

	conn, err := pgx.Connect(ctx, url)
	require.NoError(t, err)
	defer func() { _ = conn.Close(ctx) }()
	tx, err := conn.Begin(ctx)
	require.NoError(t, err)
	_, err = tx.Exec(ctx, `SELECT pg_advisory_xact_lock_shared($1)`, postgres.ObjectsLock)
	require.NoError(t, err)
	_, err = tx.Exec(ctx, `INSERT INTO attachments (email_id, ordinal, filename, key) VALUES ($1, 0, 'logo.png', 'aa/1')`, email.ID)
	require.NoError(t, err)

	var list []ledger.UnwantedObject
	done := make(chan error, 1)
	go func() {
		var err error
		list, err = db.BeginRemoval(ctx, 10)
		done <- err
	}()
	testenv.Eventually(t, func() bool {
		return count(t, url, `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`) == 1
	}, 30*time.Second, 10*time.Millisecond)
	require.NoError(t, tx.Commit(ctx))
	require.NoError(t, <-done)
	require.NotContains(t, list, ledger.UnwantedObject{Bucket: "attachments", Key: "aa/1"})
	require.Zero(t, count(t, url, `SELECT count(*) FROM unwanted_objects WHERE key = 'aa/1'`))
}

// A purge that ends in the middle leaves its marks to a later one, and two that run at
// once never have the same object.
func TestRemovalThatWasLeftBehind(t *testing.T) {
	t.Parallel()
	url, ctx := pgtest.URL(t), t.Context()
	db := pgtest.Open(t, url, 2)
	discarded(t, db, "old", "aa/1")
	body := ledger.UnwantedObject{Bucket: "raw", Key: "body/1"}
	attachment := ledger.UnwantedObject{Bucket: "attachments", Key: "aa/1"}

	first, err := db.BeginRemoval(ctx, 1)
	require.NoError(t, err)
	second, err := db.BeginRemoval(ctx, 10)
	require.NoError(t, err)
	require.ElementsMatch(t, []ledger.UnwantedObject{body, attachment}, append(slices.Clone(first), second...))
	list, err := db.BeginRemoval(ctx, 10)
	require.NoError(t, err)
	require.Empty(t, list)

	require.NoError(t, db.CancelRemoval(ctx, first))
	list, err = db.BeginRemoval(ctx, 10)
	require.NoError(t, err)
	require.Equal(t, first, list, "what was not tried is free at once")

	execute(t, url, `UPDATE unwanted_objects SET removing_since = now() - interval '16 minutes'`)
	list, err = db.BeginRemoval(ctx, 10)
	require.NoError(t, err)
	require.ElementsMatch(t, []ledger.UnwantedObject{body, attachment}, list, "its purge is gone")
	for range 2 { // a repeat is no harm
		for _, o := range list {
			require.NoError(t, db.EndRemoval(ctx, o))
		}
	}
	list, err = db.BeginRemoval(ctx, 10)
	require.NoError(t, err)
	require.Empty(t, list)
}

// An object that was stored again after its removal is removed again when no email has it.
func TestRemovedObjectsMayComeAndGoAgain(t *testing.T) {
	t.Parallel()
	url, ctx := pgtest.URL(t), t.Context()
	db := pgtest.Open(t, url, 2)
	for round := range 3 {
		discarded(t, db, fmt.Sprintf("e%d", round), "aa/1")
		list, err := db.BeginRemoval(ctx, 10)
		require.NoError(t, err)
		require.Contains(t, list, ledger.UnwantedObject{Bucket: "attachments", Key: "aa/1"}, round)
		for _, o := range list {
			require.NoError(t, db.EndRemoval(ctx, o))
		}
	}
	require.Equal(t, 4, count(t, url, `SELECT count(*) FROM unwanted_objects WHERE removed_as > 0 AND removing_since IS NULL`))
	require.NoError(t, db.ForgetRemovals(ctx, time.Hour))
	require.Equal(t, 4, count(t, url, `SELECT count(*) FROM unwanted_objects`))
	execute(t, url, `UPDATE unwanted_objects SET removed_at = now() - interval '2 hours'`)
	require.NoError(t, db.ForgetRemovals(ctx, time.Hour))
	require.Zero(t, count(t, url, `SELECT count(*) FROM unwanted_objects`))
}
