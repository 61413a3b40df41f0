package worker_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// arrow says what the packages at or below a path may import of ours. The first
// rule whose path fits decides. A path that ends in $ is that package alone, and
// so is an entry of the list.
type arrow struct {
	from string
	to   []string
}

// arrows is the order of the parts: worker → workflows → activities → shared and
// ingress → shared, with the leaves of shared below the rest of it.
func arrows() []arrow {
	return []arrow{
		{"shared/mail", nil},
		{"shared/signing", nil},
		{"shared/contract", []string{"shared/mail$"}},
		{"shared/fault", []string{"shared/mail$"}},
		{"shared/ledger", []string{"shared/mail$", "shared/contract$"}},
		{"shared/reason", []string{"shared/contract$"}},
		{"shared/event", []string{"shared/mail$", "shared/contract$", "shared/fault$", "shared/mime/filename$"}},
		{"shared/overlay", []string{"shared/mail$", "shared/contract$", "shared/fault$", "shared/ledger$"}},
		{"shared", []string{"shared"}},
		{"ingress", []string{"ingress", "shared"}},
		{"workflows", []string{"activities$", "shared/mail$", "shared/contract$", "shared/fault$", "shared/reason$"}},
		{"activities$", []string{"shared/mail$", "shared/contract$", "shared/fault$", "shared/ledger$", "shared/overlay$", "shared/address$"}},
		{"activities", []string{"shared"}},
		{"worker", []string{"worker", "workflows", "activities", "shared"}},
		{"deploy", []string{"deploy", "worker", "workflows", "activities", "ingress", "shared"}},
	}
}

// fits reports whether a package, without the module's name, is at or below path.
func fits(path, pkg string) bool {
	if exact, ok := strings.CutSuffix(path, "$"); ok {
		return pkg == exact
	}
	return pkg == path || strings.HasPrefix(pkg, path+"/")
}

func allowed(from, to string) bool {
	for _, a := range arrows() {
		if !fits(a.from, from) {
			continue
		}
		for _, path := range a.to {
			if fits(path, to) {
				return true
			}
		}
		return false
	}
	return false
}

type listed struct {
	ImportPath string
	Imports    []string
}

func goList(t *testing.T, args ...string) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-e", "-json=ImportPath,Imports"}, args...)...)
	cmd.Dir = ".."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	var all []listed
	dec := json.NewDecoder(bytes.NewReader(out))
	for {
		var one listed
		err := dec.Decode(&one)
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err)
		all = append(all, one)
	}
}

func TestImportsPointOneWay(t *testing.T) {
	t.Parallel()
	packages := goList(t, "./...")
	require.NotEmpty(t, packages)
	for _, p := range packages {
		from, ours := strings.CutPrefix(p.ImportPath, "mailroom/")
		require.True(t, ours, "%s: no package at the root of the module", p.ImportPath)
		for _, imported := range p.Imports {
			if to, ours := strings.CutPrefix(imported, "mailroom/"); ours && !allowed(from, to) {
				t.Errorf("%s must not import %s", from, to)
			}
		}
	}
}

// Workflows name activities without linking what the activities talk to.
func TestWorkflowsLinkNoAdapter(t *testing.T) {
	t.Parallel()
	for _, p := range goList(t, "-deps", "./workflows", "./activities") {
		for _, adapter := range []string{
			"github.com/jackc/pgx", "github.com/minio/", "github.com/sony/gobreaker", "github.com/gogs/chardet",
			"github.com/gin-gonic/",
		} {
			require.False(t, strings.HasPrefix(p.ImportPath, adapter), "links %s", p.ImportPath)
		}
	}
}

// Each rule refuses something, so that the test above can fail.
func TestArrowsRefuse(t *testing.T) {
	t.Parallel()
	for _, edge := range [][2]string{
		{"shared/mail", "shared/fault"},
		{"shared/signing", "shared/config"},
		{"shared/contract", "shared/config"},
		{"shared/fault", "shared/contract"},
		{"shared/ledger", "shared/postgres"},
		{"shared/reason", "shared/ledger"},
		{"shared/event", "shared/mime"},
		{"shared/blob", "activities/inspection"},
		{"shared/config", "ingress"},
		{"ingress", "activities/inspection"},
		{"ingress/operator", "workflows"},
		{"ingress/cmd/mailctl", "worker"},
		{"workflows", "activities/clamav"},
		{"workflows", "shared/ledger"},
		{"activities", "activities/clamav"},
		{"activities", "shared/config"},
		{"activities/clamav", "activities"},
		{"activities/clamav", "activities/inspection"},
		{"worker", "ingress/source"},
		{"worker", "deploy/dev"},
		{"toolbox", "shared/mail"},
	} {
		require.False(t, allowed(edge[0], edge[1]), "%s → %s", edge[0], edge[1])
	}
	for _, edge := range [][2]string{
		{"shared/contract", "shared/mail"},
		{"shared/postgres", "shared/ledger"},
		{"ingress/cmd/ingress", "ingress"},
		{"ingress", "shared/signing"},
		{"workflows", "activities"},
		{"workflows", "shared/reason"},
		{"activities", "shared/ledger"},
		{"activities/clamav", "shared/config"},
		{"worker/cmd/worker", "worker"},
		{"worker", "activities/clamav"},
		{"deploy/dev", "ingress/source"},
	} {
		require.True(t, allowed(edge[0], edge[1]), "%s → %s", edge[0], edge[1])
	}
}
