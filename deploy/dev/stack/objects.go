package stack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"mailroom/deploy/dev/process"
)

// ChooseStore returns the service that keeps the objects of the stack in dir: the wanted one,
// MinIO or Versity; "" is the one that has kept them so far, else MinIO where it is on PATH. The
// objects of one are not visible in the other, so that a change is an error while there are any.
func ChooseStore(dir, want string, caller Caller) (string, error) {
	var kept string
	for _, name := range []string{MinIO, Versity} {
		found, err := os.ReadDir(filepath.Join(dir, name))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("look for stored objects: %w", err)
		}
		if len(found) > 0 && kept != "" {
			return "", fmt.Errorf("both %s and %s below %s have kept objects: move one of the folders away, or `%s` forgets all data", kept, name, dir, caller.Forget())
		}
		if len(found) > 0 {
			kept = name
		}
	}

	_, err := exec.LookPath(MinIO)
	switch {
	case want != "" && want != MinIO && want != Versity:
		return "", fmt.Errorf("there is no object store %s: %s is %s or %s", want, caller.StoreOption(), MinIO, Versity)
	case want != "" && kept != "" && want != kept:
		return "", fmt.Errorf("%s keeps the objects of this stack, and %s would not find them: leave %s out, or `%s` forgets all data",
			kept, want, caller.StoreOption(), caller.Forget())
	case want == "" && kept == "" && err == nil:
		return MinIO, nil
	}
	return cmp.Or(want, kept, Versity), nil
}

// minioService is MinIO, by a link in Bin or from PATH.
func minioService(s *Stack) process.Service {
	p := s.opt.Ports
	dir := filepath.Join(s.opt.Dir, MinIO)
	svc := s.objectStore(MinIO, p.S3, p.S3Console)
	svc.Prepare = func(context.Context) error {
		access, secret := s.opt.Vars.Get("S3_ACCESS_KEY"), s.opt.Vars.Get("S3_SECRET_KEY")
		if len(access) < 3 || len(secret) < 8 {
			return errors.New("MinIO wants an S3_ACCESS_KEY of 3 or more characters and an S3_SECRET_KEY of 8 or more: set both, or neither")
		}
		return os.MkdirAll(filepath.Join(dir, "certs"), 0o750)
	}

	svc.Command = func() (process.Command, error) {
		vars := s.opt.Vars.Except("MINIO_").With(Vars{
			"MINIO_ROOT_USER":     s.opt.Vars.Get("S3_ACCESS_KEY"),
			"MINIO_ROOT_PASSWORD": s.opt.Vars.Get("S3_SECRET_KEY"),
			"MINIO_UPDATE":        "off",
		})
		args := []string{
			"server", filepath.Join(dir, "data"), "--quiet", "--certs-dir", filepath.Join(dir, "certs"),
			"--address", process.Loopback(p.S3), "--console-address", process.Loopback(p.S3Console),
		}
		path := filepath.Join(s.opt.Bin, MinIO)
		if found, err := exec.LookPath(MinIO); err == nil && !fileExists(path) {
			path = found
		}
		return process.Command{Path: path, Args: args, Env: vars.List(), Dir: dir}, nil
	}
	return svc
}

// versityService is the object store of devstack.
func versityService(s *Stack) process.Service {
	port, dir := s.opt.Ports.Versity, filepath.Join(s.opt.Dir, Versity)
	svc := s.objectStore(Versity, port)
	svc.Prepare = func(context.Context) error { return os.MkdirAll(dir, 0o750) }
	svc.Command = func() (process.Command, error) {
		args := []string{"store", "--address", process.Loopback(port), "--dir", dir}
		return process.Command{Path: filepath.Join(s.opt.Bin, Devstack), Args: args, Env: s.opt.Vars.List(), Dir: dir}, nil
	}
	return svc
}

// objectStore is what both stores have in common.
func (s *Stack) objectStore(name string, ports ...int) process.Service {
	return process.Service{
		Name: name, Ports: ports, Where: process.Loopback(ports[0]),
		Patience: time.Minute, Stop: syscall.SIGTERM, Grace: 15 * time.Second,
		Ready: func(ctx context.Context) error { return ensureBuckets(ctx, s.objects(ports[0])) },
	}
}

// objects returns where the object store on a port is.
func (s *Stack) objects(port int) Infra {
	return Infra{
		S3Endpoint:  "http://" + process.Loopback(port),
		S3AccessKey: s.opt.Vars.Get("S3_ACCESS_KEY"), S3SecretKey: s.opt.Vars.Get("S3_SECRET_KEY"),
		RawBucket: rawBucket, AttachmentsBucket: attachmentsBucket,
	}
}
