package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"mailroom/shared/ledger"
	"mailroom/shared/postgres/dbsqlc"
)

// Removal removes the content of discarded mail, and objects that no email has.
type Removal struct {
	pool    *pgxpool.Pool
	queries *dbsqlc.Queries
}

// NewRemoval returns the store on db's connections.
func NewRemoval(db *DB) *Removal { return &Removal{pool: db.pool, queries: dbsqlc.New(db.pool)} }

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
)

// removalLease is how long a removal that has begun and not ended is left to its
// caller, who may be gone. It is much longer than one call of the object store may take.
const removalLease = 15 * time.Minute

// BeginRemoval marks up to limit objects that emails no longer want and that no email
// has, and returns them: they are the caller's to remove for removalLease. Until EndRemoval,
// or CancelRemoval, no manifest that names one is saved. Those that an email has after
// all are forgotten.
func (s *Removal) BeginRemoval(ctx context.Context, limit int) ([]ledger.UnwantedObject, error) {
	// Reading every email is spared where there is nothing to do.
	if found, err := s.queries.UnwantedObjectsExist(ctx, removalLease); err != nil || !found {
		return nil, classify("look for unwanted objects", err)
	}
	if err := s.queries.DeleteWantedObjects(ctx, removalLease); err != nil {
		return nil, classify("forget shared objects", err)
	}

	var marked []ledger.UnwantedObject
	var batch pgx.Batch // one transaction, as short as it can be: every store step waits for it
	batch.Queue(dbsqlc.LockObjects, objectsLock)
	queueRows(&batch, dbsqlc.MarkRemoving, &marked, removalLease, limit)
	if err := s.pool.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, classify("mark unwanted objects", err)
	}

	// What was saved before the mark is committed, and nothing is saved after it.
	buckets, keys := objectColumns(marked)
	rows, err := s.queries.UnmarkWanted(ctx, dbsqlc.UnmarkWantedParams{Buckets: buckets, Keys: keys})
	if err != nil {
		return nil, classify("look for emails that have unwanted objects", err)
	}
	kept := make([]ledger.UnwantedObject, len(rows))
	for i, r := range rows {
		kept[i] = ledger.UnwantedObject{Bucket: r.Bucket, Key: r.Key}
	}
	return without(marked, kept), nil
}

// EndRemoval says that an object is gone.
func (s *Removal) EndRemoval(ctx context.Context, o ledger.UnwantedObject) error {
	err := s.queries.EndRemoval(ctx, dbsqlc.EndRemovalParams{Bucket: o.Bucket, Key: o.Key})
	return classify("end a removal", err)
}

// CancelRemoval takes the mark from objects whose removal was not tried.
func (s *Removal) CancelRemoval(ctx context.Context, list []ledger.UnwantedObject) error {
	if len(list) == 0 {
		return nil
	}
	buckets, keys := objectColumns(list)
	err := s.queries.CancelRemoval(ctx, dbsqlc.CancelRemovalParams{Buckets: buckets, Keys: keys})
	return classify("cancel removals", err)
}

// ForgetRemovals forgets objects that were removed longer than age ago, which must be
// longer than any store step lasts.
func (s *Removal) ForgetRemovals(ctx context.Context, age time.Duration) error {
	err := s.queries.ForgetRemovals(ctx, age)
	return classify("forget removals", err)
}

// objectColumns turns objects into one array per column.
func objectColumns(list []ledger.UnwantedObject) (buckets, keys []string) {
	buckets, keys = make([]string, len(list)), make([]string, len(list))
	for i, o := range list {
		buckets[i], keys[i] = o.Bucket, o.Key
	}
	return buckets, keys
}

// without returns list without those in gone.
func without(list, gone []ledger.UnwantedObject) []ledger.UnwantedObject {
	return slices.DeleteFunc(list, func(o ledger.UnwantedObject) bool { return slices.Contains(gone, o) })
}
