package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"mailroom/shared/ledger"
)

// Removal removes the content of discarded mail, and objects that no email has.
type Removal struct {
	pool *pgxpool.Pool
}

// NewRemoval returns the store on db's connections.
func NewRemoval(db *DB) *Removal { return &Removal{pool: db.pool} }

// Objects are named after their content, so several emails may have one, and an email
// may come to have one that is just being removed. Removal and SaveManifest exclude
// each other by a lock and by what is written under it:
//
//	BeginRemoval   exclusive lock: the object is marked; unlocked; does an email have it?
//	               then the mark is taken back
//	(the caller removes the object from the store)
//	EndRemoval     the mark becomes the number of the removal
//
//	Body           reads the number of the last removal
//	(the caller writes the objects)
//	SaveManifest   shared lock: refuses objects that are marked, or were removed under a
//	               later number than Body read
//
// So a manifest is saved either before the mark, and BeginRemoval sees it, or names only
// objects that were written after their removal had ended.
const (
	// objectsLock is the advisory lock; other locks of this database have other numbers.
	objectsLock = 0x6d61_696c_0001

	shareObjects = `SELECT pg_advisory_xact_lock_shared(@lock)`
	lockObjects  = `SELECT pg_advisory_xact_lock(@lock)`
)

// removalLease is how long a removal that has begun and not ended is left to its
// caller, who may be gone. It is much longer than one call of the object store may take.
const removalLease = 15 * time.Minute

// wanted chooses the rows of u whose objects an email has.
const wanted = `
      (u.bucket = 'attachments' AND EXISTS (SELECT FROM attachments a WHERE a.key = u.key)
    OR u.bucket = 'raw' AND (EXISTS (SELECT FROM emails e WHERE e.raw_key = u.key)
       OR EXISTS (SELECT FROM emails e WHERE e.mime_key = u.key)
       OR EXISTS (SELECT FROM emails e WHERE e.message_key = u.key)
       OR EXISTS (SELECT FROM inbox i WHERE i.body_key = u.key)))`

// BeginRemoval marks up to limit objects that emails no longer want and that no email
// has, and returns them: they are the caller's to remove for removalLease. Until EndRemoval,
// or CancelRemoval, no manifest that names one is saved. Those that an email has after
// all are forgotten.
func (s *Removal) BeginRemoval(ctx context.Context, limit int) ([]ledger.UnwantedObject, error) {
	const (
		due = `
 u.removed_at IS NULL AND (u.removing_since IS NULL OR u.removing_since < now() - @lease::interval)`
		some   = `SELECT EXISTS (SELECT FROM unwanted_objects u WHERE` + due + `)`
		forget = `DELETE FROM unwanted_objects u WHERE` + due + ` AND` + wanted
		mark   = `
UPDATE unwanted_objects SET removing_since = now()
 WHERE (bucket, key) IN (SELECT bucket, key FROM unwanted_objects u WHERE` + due + ` ORDER BY since, bucket, key LIMIT @limit)
RETURNING bucket, key`
		unmark = `
DELETE FROM unwanted_objects u USING unnest(@buckets::text[], @keys::text[]) AS n (bucket, key)
 WHERE u.bucket = n.bucket AND u.key = n.key AND` + wanted + `
RETURNING u.bucket, u.key`
	)
	args := pgx.NamedArgs{"lease": removalLease, "limit": limit, "lock": objectsLock}

	var any bool // the look at every email is spared where there is nothing to do
	if err := s.pool.QueryRow(ctx, some, args).Scan(&any); err != nil || !any {
		return nil, classify("look for unwanted objects", err)
	}
	if _, err := s.pool.Exec(ctx, forget, args); err != nil {
		return nil, classify("forget shared objects", err)
	}

	var marked []ledger.UnwantedObject
	var batch pgx.Batch // one transaction, as short as it can be: every store step waits for it
	batch.Queue(lockObjects, args)
	batch.Queue(mark, args).Query(func(rows pgx.Rows) (err error) {
		marked, err = pgx.CollectRows(rows, pgx.RowToStructByPos[ledger.UnwantedObject])
		return err
	})
	if err := s.pool.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, classify("mark unwanted objects", err)
	}

	// What was saved before the mark is committed, and nothing is saved after it.
	rows, _ := s.pool.Query(ctx, unmark, objectColumns(marked))
	kept, err := pgx.CollectRows(rows, pgx.RowToStructByPos[ledger.UnwantedObject])
	if err != nil {
		return nil, classify("look for emails that have unwanted objects", err)
	}
	return without(marked, kept), nil
}

// EndRemoval says that an object is gone.
func (s *Removal) EndRemoval(ctx context.Context, o ledger.UnwantedObject) error {
	const query = `
WITH next AS (UPDATE object_removals SET number = number + 1 RETURNING number)
INSERT INTO unwanted_objects (bucket, key, removed_as, removed_at) SELECT @bucket, @key, number, now() FROM next
ON CONFLICT (bucket, key) DO UPDATE SET removing_since = NULL, removed_as = excluded.removed_as, removed_at = excluded.removed_at`

	_, err := s.pool.Exec(ctx, query, pgx.NamedArgs{"bucket": o.Bucket, "key": o.Key})
	return classify("end a removal", err)
}

// CancelRemoval takes the mark from objects whose removal was not tried.
func (s *Removal) CancelRemoval(ctx context.Context, list []ledger.UnwantedObject) error {
	const query = `
UPDATE unwanted_objects u SET removing_since = NULL FROM unnest(@buckets::text[], @keys::text[]) AS n (bucket, key)
 WHERE u.bucket = n.bucket AND u.key = n.key`

	if len(list) == 0 {
		return nil
	}
	_, err := s.pool.Exec(ctx, query, objectColumns(list))
	return classify("cancel removals", err)
}

// ForgetRemovals forgets objects that were removed longer than age ago, which must be
// longer than any store step lasts.
func (s *Removal) ForgetRemovals(ctx context.Context, age time.Duration) error {
	const query = `DELETE FROM unwanted_objects WHERE removed_at < now() - @age::interval`

	_, err := s.pool.Exec(ctx, query, pgx.NamedArgs{"age": age})
	return classify("forget removals", err)
}

// objectColumns turns objects into one array per column.
func objectColumns(list []ledger.UnwantedObject) pgx.NamedArgs {
	buckets, keys := make([]string, len(list)), make([]string, len(list))
	for i, o := range list {
		buckets[i], keys[i] = o.Bucket, o.Key
	}
	return pgx.NamedArgs{"buckets": buckets, "keys": keys}
}

// without returns list without those in gone.
func without(list, gone []ledger.UnwantedObject) []ledger.UnwantedObject {
	return slices.DeleteFunc(list, func(o ledger.UnwantedObject) bool { return slices.Contains(gone, o) })
}
