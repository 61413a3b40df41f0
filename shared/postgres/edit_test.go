package postgres_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/pgtest"
)

func TestEdits(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	email := acceptOne(t, db)
	require.NoError(t, db.SaveManifest(ctx, manifest(email.ID)))
	subject := "Größe\t<1>"
	first := ledger.NewEdit{
		EmailID: email.ID, Actor: "olga", Note: "typo\x00", Key: "run/1",
		Edit:    contract.Edit{Recipients: []string{"support@yourapp.example"}, Headers: map[string]*string{"Subject": &subject, "X-A": nil}},
		Changes: []ledger.Change{{Field: "recipients", Before: "a", After: "b"}},
	}
	id, err := db.CreateEdit(ctx, first)
	require.NoError(t, err)
	again, err := db.CreateEdit(ctx, first)
	require.NoError(t, err)
	require.Equal(t, id, again, "a repeat finds the first")
	second, err := db.CreateEdit(ctx, ledger.NewEdit{
		EmailID: email.ID, Actor: "ivan", Note: "charset", Edit: contract.Edit{Charset: "koi8-r", Headers: map[string]*string{"subject": nil}},
	})
	require.NoError(t, err)
	require.NotEqual(t, id, second)

	m, err := db.Manifest(ctx, email.ID)
	require.NoError(t, err)
	require.Nil(t, m.Overlay, "nothing is applied yet")

	require.NoError(t, db.ApplyEdit(ctx, contract.ApplyEditInput{Email: email, EditID: id}))
	m, err = db.Manifest(ctx, email.ID)
	require.NoError(t, err)
	require.Equal(t, &first.Edit, m.Overlay)
	require.Equal(t, "olga", m.Edited.By)
	require.WithinDuration(t, time.Now(), m.Edited.At, time.Minute)
	require.Equal(t, manifest(email.ID).Recipients, m.Recipients, "the manifest stays as it came")
	at := m.Edited.At

	require.NoError(t, db.ApplyEdit(ctx, contract.ApplyEditInput{Email: email, EditID: id}), "a repeat changes nothing")
	m, err = db.Manifest(ctx, email.ID)
	require.NoError(t, err)
	require.Equal(t, at, m.Edited.At)

	require.NoError(t, db.ApplyEdit(ctx, contract.ApplyEditInput{Email: email, EditID: second}))
	body, err := db.Body(ctx, email.ID)
	require.NoError(t, err)
	require.Equal(t, &contract.Edit{
		Recipients: []string{"support@yourapp.example"}, Charset: "koi8-r", Headers: map[string]*string{"subject": nil, "X-A": nil},
	}, body.Overlay, "later wins")

	rows, err := db.Edits(ctx, email.ID)
	require.NoError(t, err)
	require.Len(t, rows, 2)
	require.Equal(t, first.Edit, rows[0].Edit)
	require.Equal(t, first.Changes, rows[0].Changes)
	require.Equal(t, "typo", rows[0].Note)
	require.NotNil(t, rows[0].AppliedAt)
	require.Equal(t, []ledger.Change{}, rows[1].Changes)
	detail, err := db.FindEmail(ctx, ledger.Lookup{EventID: email.EventID})
	require.NoError(t, err)
	require.Equal(t, rows, detail.Edits)
}

func TestApplyEditIsInTheAuditChainOnce(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	email := acceptOne(t, db)
	id, err := db.CreateEdit(ctx, ledger.NewEdit{
		EmailID: email.ID, Actor: "olga", Note: "why", Edit: contract.Edit{To: []string{"secret-sink"}, Charset: "utf-8"},
	})
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, db.ApplyEdit(ctx, contract.ApplyEditInput{Email: email, EditID: id}))
	}
	entries, err := db.Audit(ctx, 0, 100)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.EqualValues(t, "edit", entries[0].Kind)
	require.Equal(t, "olga", entries[0].Actor)
	require.Contains(t, entries[0].Body, `"charset"`)
	require.NotContains(t, entries[0].Body, "secret-sink", "the chain has its hash")
}

func TestApplyEditOfAnotherEmail(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	email := acceptOne(t, db)
	other := accept(t, db, event("other", "body"))[0].Row.Email
	id, err := db.CreateEdit(ctx, ledger.NewEdit{EmailID: other.ID, Actor: "a", Note: "n", Edit: contract.Edit{Charset: "utf-8"}})
	require.NoError(t, err)
	err = db.ApplyEdit(ctx, contract.ApplyEditInput{Email: email, EditID: id})
	require.True(t, fault.Is(err, fault.NotFound), "%v", err)
	rows, err := db.Edits(ctx, other.ID)
	require.NoError(t, err)
	require.Nil(t, rows[0].AppliedAt)
}
