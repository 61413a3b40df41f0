package main

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
)

// TestTemporalComesBackWithItsData after kill -9, with its search attributes and its Web UI.
func TestTemporalComesBackWithItsData(t *testing.T) {
	port, uiPort, db := freePort(t), freePort(t), filepath.Join(t.TempDir(), "t.db")
	args := []string{
		"temporal", "--db", db, "--port", fmt.Sprint(port), "--ui-port", fmt.Sprint(uiPort), "--namespace", "mail",
		"--search-attribute", "State=Keyword", "--search-attribute", "Places=KeywordList",
		"--codec-endpoint", "http://127.0.0.1:8081/codec",
	}
	ui := fmt.Sprintf("http://127.0.0.1:%d", uiPort)
	first := start(t, "Web UI: "+ui, args...)
	c, err := client.DialContext(t.Context(), client.Options{HostPort: address(loopback, port), Namespace: "mail"})
	require.NoError(t, err)
	_, err = c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
		ID: "w", TaskQueue: "q", SearchAttributes: map[string]any{"State": "held", "Places": []string{"a", "b"}},
	}, "any")
	require.NoError(t, err)
	c.Close()
	first.kill()

	start(t, "Web UI: "+ui, append(args, "--search-attribute", "Later=Keyword")...)
	c, err = client.DialContext(t.Context(), client.Options{HostPort: address(loopback, port), Namespace: "mail"})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	require.NoError(t, c.SignalWorkflow(t.Context(), "w", "", "approve", nil))

	// What the server has accepted, it has written; the index of searches follows a moment later.
	eventually(t, func() error {
		found, err := c.CountWorkflow(t.Context(), &workflowservice.CountWorkflowExecutionsRequest{Query: "State = 'held' AND Places = 'b'"})
		if err == nil && found.GetCount() != 1 {
			err = errors.New("the workflow is not found")
		}
		return err
	})

	_, err = c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
		ID: "w2", TaskQueue: "q", SearchAttributes: map[string]any{"Later": "x", "State": "new"},
	}, "any")
	require.NoError(t, err, "an attribute that the database did not have")

	_, settings := get(t, ui+"/api/v1/settings")
	require.Contains(t, settings, `"Codec":{"Endpoint":"http://127.0.0.1:8081/codec","PassAccessToken":false,"IncludeCredentials":true`)
	require.Contains(t, settings, `"DisableNewsFetch":true`)
	require.Contains(t, settings, `"DefaultNamespace":"mail"`)
	_, list := get(t, ui+"/api/v1/namespaces/mail/workflows")
	require.Contains(t, list, `"workflowId": "w"`)

	own, _ := get(t, ui+"/api/v1/settings", "Origin", ui)
	require.Equal(t, ui, own.Header.Get("Access-Control-Allow-Origin"))
	other, _ := get(t, ui+"/api/v1/settings", "Origin", "http://evil.example")
	require.Empty(t, other.Header.Get("Access-Control-Allow-Origin"))
}

// TestADatabaseOfAnotherVersionIsRefused: the server would read it, and fail at the first workflow.
func TestADatabaseOfAnotherVersionIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "t.db")
	require.NoError(t, makeDatabase(file))
	o := temporalOptions{db: file, namespace: "default", synchronous: "off"}
	_, err := openDatabase(o)
	require.NoError(t, err)
	_, err = openDatabase(o)
	require.NoError(t, err, "its own is opened again")

	db, err := sql.Open("sqlite", "file:"+file)
	require.NoError(t, err)
	_, err = db.Exec("DROP TABLE current_chasm_executions")
	require.NoError(t, err)
	require.NoError(t, db.Close())
	_, err = openDatabase(o)
	require.ErrorContains(t, err, file+" was made by another version of Temporal: remove it, or name another file")
}

// TestADatabaseIsWhereItsNameSays: in a folder called h#h the data was in a file called h next to
// it, and in one with %41 there was none.
func TestADatabaseIsWhereItsNameSays(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "größe 1#2 50%41?x")
	require.NoError(t, os.Mkdir(dir, 0o700))
	o := temporalOptions{db: filepath.Join(dir, "t.db"), namespace: "default", synchronous: "off"}
	for range 2 {
		_, err := openDatabase(o)
		require.NoError(t, err)
	}

	siblings, err := os.ReadDir(parent)
	require.NoError(t, err)
	require.Len(t, siblings, 1)
	text, err := os.ReadFile(o.db)
	require.NoError(t, err)
	require.Contains(t, string(text), "CREATE TABLE namespaces")
	want, err := fingerprint(o.db)
	require.NoError(t, err)
	require.NoError(t, os.Remove(o.db))
	empty, err := fingerprint(o.db)
	require.NoError(t, err)
	require.NotEqual(t, empty, want)
}

func TestAKilledStartLeavesNoHalfADatabase(t *testing.T) {
	file := filepath.Join(t.TempDir(), "t.db")
	left, err := sql.Open("sqlite", "file:"+file+".new")
	require.NoError(t, err)
	_, err = left.Exec("CREATE TABLE namespaces(half INT)")
	require.NoError(t, err)
	require.NoError(t, left.Close())

	_, err = openDatabase(temporalOptions{db: file, namespace: "default", synchronous: "off"})
	require.NoError(t, err)
	require.NoFileExists(t, file+".new")
}
