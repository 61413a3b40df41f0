package main

import (
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	schema "go.temporal.io/server/schema/sqlite"
)

// openDatabase makes the database and its namespace where they are missing, and returns how the
// server connects. A process that is killed while it makes the database leaves none.
func openDatabase(o temporalOptions) (*config.SQL, error) {
	_, err := os.Stat(o.db)
	if errors.Is(err, fs.ErrNotExist) {
		err = makeDatabase(o.db)
	} else if err == nil {
		err = checkSchema(o.db)
	}
	if err != nil {
		return nil, fmt.Errorf("temporal: %w", err)
	}

	database := connection(o.db)
	database.ConnectAttributes["journal_mode"] = "wal"
	database.ConnectAttributes["synchronous"] = o.synchronous
	namespace, err := schema.NewNamespaceConfig(clusterName, o.namespace, false, o.attributes)
	if err != nil {
		return nil, usageError{"temporal: " + err.Error()}
	}
	if err := schema.CreateNamespaces(database, namespace); err != nil {
		return nil, fmt.Errorf("temporal: use %s: %w", o.db, err)
	}
	return database, nil
}

func connection(file string) *config.SQL {
	return &config.SQL{
		PluginName: sqlite.PluginName, DatabaseName: inURI(file), ConnectAttributes: map[string]string{"mode": "rwc"},
	}
}

// inURI returns a path as it is written in the URI of an SQLite database. As it is, a ? or # would
// end the path, and the database would be another file.
func inURI(path string) string {
	return strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path)
}

// makeDatabase writes an empty database under another name first.
func makeDatabase(file string) error {
	fresh := file + ".new"
	if err := writeSchema(fresh); err != nil {
		return fmt.Errorf("make %s: %w", file, err)
	}
	if err := os.Rename(fresh, file); err != nil {
		return fmt.Errorf("make %s: %w", file, err)
	}
	return nil
}

func writeSchema(file string) error {
	for _, left := range []string{file, file + "-journal"} { // by a process that was killed
		if err := os.Remove(left); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	made, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600) // the folder may not be writable: SQLite would not say so
	if err != nil {
		return err
	}
	defer func() { _ = made.Close() }()

	database := connection(file)
	database.ConnectAttributes["synchronous"] = "off" // synced once, below
	if err := schema.SetupSchema(database); err != nil {
		return err
	}
	return made.Sync()
}

// checkSchema returns an error for a database of another version of Temporal. The server reads
// one without complaint, and fails at the first workflow.
func checkSchema(file string) error {
	dir, err := os.MkdirTemp("", "devstack-schema-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	own := filepath.Join(dir, "own.db")
	if err := writeSchema(own); err != nil {
		return err
	}

	want, err := fingerprint(own)
	if err != nil {
		return err
	}
	got, err := fingerprint(file)
	switch {
	case err != nil:
		return fmt.Errorf("%s cannot be used: %w", file, err)
	case got != want:
		return fmt.Errorf("%s was made by another version of Temporal: remove it, or name another file", file)
	}
	return nil
}

// fingerprint returns a hash of everything that is declared in a database.
func fingerprint(file string) (string, error) {
	db, err := sql.Open("sqlite", "file:"+inURI(file))
	if err != nil {
		return "", err
	}
	defer func() { _ = db.Close() }()
	var text string
	err = db.QueryRow(`SELECT coalesce(group_concat(name || coalesce(sql, ''), ';'), '')
		FROM (SELECT name, sql FROM sqlite_master ORDER BY name)`).Scan(&text)
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:]), err
}
