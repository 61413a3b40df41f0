package stack

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/deploy/dev/process"
)

// TestTheStoreThatHasObjectsIsKept: what one has stored is not in the other, so that a stack
// that came up with the other would have lost the bodies of its emails.
func TestTheStoreThatHasObjectsIsKept(t *testing.T) {
	elsewhere := t.TempDir()
	t.Setenv("PATH", elsewhere)
	for name, c := range map[string]struct {
		kept, onPath, want string
		store, refusal     string
	}{
		"a new stack":                    {store: Versity},
		"a new stack, MinIO on PATH":     {onPath: MinIO, store: MinIO},
		"a new stack, MinIO wanted":      {want: MinIO, store: MinIO},
		"a new stack, versitygw wanted":  {onPath: MinIO, want: Versity, store: Versity},
		"MinIO, no more on PATH":         {kept: MinIO, store: MinIO},
		"versitygw, MinIO on PATH now":   {kept: Versity, onPath: MinIO, store: Versity},
		"versitygw, MinIO wanted":        {kept: Versity, want: MinIO, refusal: "versitygw keeps the objects of this stack, and minio would not find them: leave STORE out, or `make down CLEAN=1`"},
		"MinIO, versitygw wanted":        {kept: MinIO, want: Versity, refusal: "minio keeps the objects"},
		"a word that is no object store": {want: "s3", refusal: "there is no object store s3: STORE is minio or versitygw"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, tool := t.TempDir(), filepath.Join(elsewhere, MinIO)
			if c.onPath != "" {
				require.NoError(t, os.WriteFile(tool, []byte("#!/bin/sh\n"), 0o700))
				t.Cleanup(func() { _ = os.Remove(tool) })
			}
			for _, folder := range []string{MinIO, Versity} { // an empty folder is no data
				require.NoError(t, os.Mkdir(filepath.Join(dir, folder), 0o700))
			}
			if c.kept != "" {
				require.NoError(t, os.Mkdir(filepath.Join(dir, c.kept, "data"), 0o700))
			}

			store, err := ChooseStore(dir, c.want, Caller{})
			if c.refusal != "" {
				require.ErrorContains(t, err, c.refusal)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.store, store)
		})
	}

	dir := t.TempDir()
	for _, folder := range []string{MinIO, Versity} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, folder, "data"), 0o700))
	}
	_, err := ChooseStore(dir, "", Caller{})
	require.ErrorContains(t, err, "both minio and versitygw")
}

// TestTheWebUIIsPartOfTemporalWhereItIsWanted: tests leave it out, and then its port too.
func TestTheWebUIIsPartOfTemporalWhereItIsWanted(t *testing.T) {
	t.Parallel()
	ports, err := FreePorts()
	require.NoError(t, err)
	options := Options{
		Dir: t.TempDir(), Bin: "/bin", Services: []string{Temporal}, Ports: ports,
		Vars: DevDefaults().With(Vars{"TEMPORAL_ADDRESS": "elsewhere:7233"}),
	}
	for webUI, want := range map[bool][]int{false: {ports.Temporal}, true: {ports.Temporal, ports.TemporalUI}} {
		options.WebUI = webUI
		s, err := New(options)
		require.NoError(t, err)
		svc, err := find(s, Temporal)
		require.NoError(t, err)
		require.Equal(t, want, svc.Ports)

		c, err := svc.Command()
		require.NoError(t, err)
		require.Equal(t, "/bin/devstack", c.Path)
		require.NotContains(t, c.Env, "TEMPORAL_ADDRESS=elsewhere:7233", "a setting of the caller leads it elsewhere")
		require.Equal(t, webUI, contains(c.Args, "--codec-endpoint", s.OperatorURL()+"/codec"))
		require.Equal(t, webUI, contains(c.Args, "--ui-ip", "127.0.0.1"))
		require.True(t, contains(c.Args, "--ip", "127.0.0.1"))
	}
}

func contains(args []string, name, value string) bool {
	for i := range len(args) - 1 {
		if args[i] == name && args[i+1] == value {
			return true
		}
	}
	return false
}

// TestInfraNamesTheObjectStoreThatRuns, MinIO where a test run has both.
func TestInfraNamesTheObjectStoreThatRuns(t *testing.T) {
	t.Parallel()
	ports, err := FreePorts()
	require.NoError(t, err)
	for _, services := range [][]string{{Versity}, {MinIO}, {Versity, MinIO}} {
		s, err := New(Options{Dir: t.TempDir(), Services: services, Ports: ports, Vars: DevDefaults()})
		require.NoError(t, err)
		want := map[string]int{Versity: ports.Versity, MinIO: ports.S3}[services[len(services)-1]]
		require.Equal(t, "http://"+process.Loopback(want), s.Infra().S3Endpoint)
		require.Equal(t, rawBucket, s.Infra().RawBucket)
	}
}
