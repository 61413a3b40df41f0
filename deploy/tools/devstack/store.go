package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"

	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
)

const (
	storeConnections = 4096 // at one time
	maxParts         = 10000
)

// runStore serves buckets and objects as folders and files below a folder until ctx ends.
func runStore(ctx context.Context, args []string, getenv func(string) string, stdout io.Writer) error {
	flags := flag.NewFlagSet("store", flag.ContinueOnError)
	listen := flags.String("address", "127.0.0.1:9000", "")
	dir := flags.String("dir", "", "")
	if err := parse(flags, args); err != nil {
		return err
	}
	access, secret := getenv("S3_ACCESS_KEY"), getenv("S3_SECRET_KEY")
	switch {
	case *dir == "":
		return usageError{"store: --dir names the folder of the data"}
	case access == "" || secret == "":
		return usageError{"store: S3_ACCESS_KEY and S3_SECRET_KEY must be set"}
	}

	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", *listen)
	if err != nil {
		return fmt.Errorf("store: %w: stop what listens there, or name another --address", err)
	}
	_ = l.Close()
	backend, err := openStore(*dir)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}

	_, _ = fmt.Fprintf(stdout, "S3 (versitygw %s): http://%s, data in %s\n", moduleVersion("github.com/versity/versitygw"), *listen, *dir)
	return embedgw.RunVersityGW(ctx, backend, &embedgw.Config{
		RootUserAccess: access, RootUserSecret: secret,
		Ports: []string{*listen}, HealthPath: "/health", Quiet: true, KeepAlive: true,
		MaxConnections: storeConnections, MaxRequests: storeConnections, MultipartMaxParts: maxParts,
	})
}

// openStore returns the store in dir: objects are files in dir/objects. What S3 knows of a file
// apart from its content is kept in extended attributes, or in files in dir/attributes where the file
// system has none, and always in the same place.
func openStore(dir string) (*posix.Posix, error) {
	objects, separate := filepath.Join(dir, "objects"), filepath.Join(dir, "attributes")
	if err := os.MkdirAll(objects, 0o700); err != nil {
		return nil, err
	}
	opts := posix.PosixOpts{}
	opts.SetNewDirPerm(0o700)
	opts.SetNewFilePerm(0o600)

	attributes, err := findAttributes(objects, separate)
	if err != nil {
		return nil, err
	}
	return posix.New(objects, attributes, opts)
}

func findAttributes(objects, separate string) (meta.MetadataStorer, error) {
	_, err := os.Stat(separate)
	if err == nil {
		return meta.NewSideCar(separate)
	}
	if !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if (meta.XattrMeta{}).StoreAttribute(nil, objects, "", "devstack", nil) == nil {
		return meta.XattrMeta{}, nil
	}

	buckets, err := os.ReadDir(objects)
	switch {
	case err != nil:
		return nil, err
	case len(buckets) > 0:
		return nil, fmt.Errorf("%s was written where files have extended attributes; this file system has none: move it back, or use another folder", objects)
	}
	if err := os.Mkdir(separate, 0o700); err != nil {
		return nil, err
	}
	return meta.NewSideCar(separate)
}
