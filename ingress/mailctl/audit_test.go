package mailctl_test

import (
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/auditchain"
	"mailroom/shared/contract"
	"mailroom/shared/ledger"
)

// chained returns a chain of n entries.
func chained(n int) []auditchain.Entry {
	list := make([]auditchain.Entry, n)
	var prev contract.Digest
	for i := range list {
		e := auditchain.Entry{Seq: int64(i + 1), AtUnixMicro: 1, Kind: "token", Actor: "anna", Via: "api", Body: "{}", PrevHash: prev}
		e.ContentHash = sha256.Sum256(e.Content())
		e.Hash = auditchain.Link(e.Seq, e.PrevHash, e.ContentHash)
		list[i], prev = e, e.Hash
	}
	return list
}

// auditAPI serves a chain in pages of two, and says that it ends with head.
func auditAPI(t *testing.T, list []auditchain.Entry, head auditchain.Head, wrong ...ledger.AuditDifference) string {
	t.Helper()
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	mux.HandleFunc("/api/v1/audit", func(w http.ResponseWriter, r *http.Request) {
		after, _ := strconv.Atoi(r.URL.Query().Get("after"))
		rest := list[min(after, len(list)):]
		answer(w, map[string]any{"entries": rest[:min(2, len(rest))], "head": head})
	})
	mux.HandleFunc("/api/v1/audit/head", func(w http.ResponseWriter, _ *http.Request) { answer(w, head) })
	mux.HandleFunc("/api/v1/audit/decisions", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"checked": 9, "wrong": wrong})
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func headOf(list []auditchain.Entry) auditchain.Head {
	last := list[len(list)-1]
	return auditchain.Head{Seq: last.Seq, Hash: last.Hash}
}

func TestAuditVerifyChain(t *testing.T) {
	t.Parallel()
	whole := chained(5)
	end, third := headOf(whole), headOf(whole[:3])
	for name, c := range map[string]struct {
		list  func([]auditchain.Entry) []auditchain.Entry
		head  auditchain.Head
		keep  []string
		wrong []ledger.AuditDifference
		code  int
		says  string
	}{
		"whole":         {head: end, says: "5 entries hold"},
		"with heads":    {head: end, keep: []string{third.String(), end.String()}, says: "9 decisions agree"},
		"changed":       {list: func(l []auditchain.Entry) []auditchain.Entry { l[3].Actor = "bob"; return l }, head: end, code: 1, says: "broken at entry 4"},
		"taken out":     {list: func(l []auditchain.Entry) []auditchain.Entry { return append(l[:2:2], l[3:]...) }, head: end, code: 1, says: "broken at entry 3"},
		"end missing":   {list: func(l []auditchain.Entry) []auditchain.Entry { return l[:3] }, head: end, code: 1, says: "broken at entry 4"},
		"cut":           {list: func(l []auditchain.Entry) []auditchain.Entry { return l[:3] }, head: third, keep: []string{end.String()}, code: 1, says: "the chain was cut"},
		"cut, unseen":   {list: func(l []auditchain.Entry) []auditchain.Entry { return l[:3] }, head: third, says: "3 entries hold"},
		"rewritten":     {head: end, keep: []string{auditchain.Head{Seq: 3, Hash: end.Hash}.String()}, code: 1, says: "broken at entry 3"},
		"decision gone": {head: end, wrong: []ledger.AuditDifference{{Seq: 2, EmailID: 7, Sequence: 1, What: "missing"}}, code: 1, says: "a decision is missing"},
		"no head":       {head: end, keep: []string{"5"}, code: 2, says: "a head is written as"},
	} {
		list := chained(5)
		if c.list != nil {
			list = c.list(list)
		}
		args := []string{"audit", "verify", "--api", auditAPI(t, list, c.head, c.wrong...)}
		for _, k := range c.keep {
			args = append(args, "--head", k)
		}
		got := call{args: args}.run(t)
		require.Equal(t, c.code, got.code, "%s: %s %s", name, got.stdout, got.stderr)
		require.Contains(t, got.stdout+got.stderr, c.says, name)
	}
	got := call{args: []string{"audit", "verify", "-o", "json", "--api", auditAPI(t, chained(5)[:4], end)}}.run(t)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.stdout, `"ok":false`)
	require.Contains(t, got.stdout, `"broken_at":5`)
}

func TestAuditHead(t *testing.T) {
	t.Parallel()
	list := chained(2)
	got := call{args: []string{"audit", "head", "--api", auditAPI(t, list, headOf(list))}}.run(t)
	require.Equal(t, headOf(list).String()+"\n", got.stdout, got.stderr)
}

// An export to a file that exists failed after its entry was in the chain.
func TestExportOpensItsFileFirst(t *testing.T) {
	t.Parallel()
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"ok":false,"error":"not_found","message":"no such email"}`))
	}))
	t.Cleanup(server.Close)
	existing := file(t, "custody.json", "kept")
	export := func(file string) outcome {
		return call{args: []string{"audit", "export", "--event", "e", "-f", file, "--api", server.URL}}.run(t)
	}

	for _, path := range []string{existing, filepath.Join(t.TempDir(), "none", "x.json")} {
		got := export(path)
		require.Equal(t, 1, got.code)
		require.Contains(t, got.stderr, "nothing was exported: open "+path)
		requireOneLine(t, got.stderr)
	}
	require.Zero(t, asked, "the server has written an entry")
	content, err := os.ReadFile(existing)
	require.NoError(t, err)
	require.Equal(t, "kept", string(content))

	path := filepath.Join(t.TempDir(), "new.json")
	require.Equal(t, outcome{1, "", "mailctl: no such email (not_found, HTTP 404)\n"}, export(path))
	require.Equal(t, 1, asked)
	require.NoFileExists(t, path, "a failure leaves no empty file")
}

func TestAuditVerifyRefusesAFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "x.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"format":"mailroom.custody.v1"}`), 0o600))
	got := call{args: []string{"audit", "verify", file}}.run(t)
	require.Equal(t, 1, got.code)
	require.Empty(t, got.stdout)
	got = call{args: []string{"audit", "verify", "--raw", file}}.run(t)
	require.Equal(t, 2, got.code)
}
