package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
)

// smallDisk is a file system of its own that a test can fill.
type smallDisk struct{ dir string }

func newSmallDisk(t *testing.T, size string) smallDisk {
	t.Helper()
	dir := t.TempDir()
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=0700,size="+size)
	if errors.Is(err, syscall.EPERM) {
		t.Skip("only root can mount a file system")
	}
	require.NoError(t, err)
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return smallDisk{dir}
}

func (d smallDisk) filler() string { return filepath.Join(d.dir, "filler") }

// fill takes all the space that is left.
func (d smallDisk) fill(t *testing.T) {
	t.Helper()
	file, err := os.OpenFile(d.filler(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	require.NoError(t, err)
	for _, size := range []int{1 << 20, 1 << 12} {
		for err = nil; err == nil; _, err = file.Write(make([]byte, size)) {
		}
		require.ErrorIs(t, err, syscall.ENOSPC)
	}
	require.NoError(t, file.Close())
}

func (d smallDisk) free(t *testing.T) {
	t.Helper()
	require.NoError(t, os.Remove(d.filler()))
}

// TestAFullDiskRefusesObjects: nothing is stored by half, what is there can be read, and the
// store goes on when there is space.
func TestAFullDiskRefusesObjects(t *testing.T) {
	disk := newSmallDisk(t, "16m")
	port := freePort(t)
	start(t, "S3 (versitygw v1.", "store", "--dir", disk.dir, "--address", address(loopback, port))
	awaitHealth(t, port)
	c := storeClient(port)
	bucket := aws.String("mail")
	_, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: bucket})
	require.NoError(t, err)
	put := func(key string, letter string, size int) error {
		_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: bucket, Key: &key, Body: strings.NewReader(strings.Repeat(letter, size))})
		return err
	}
	get := func(key string) (string, error) {
		got, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: &key})
		if err != nil {
			return "", err
		}
		body, err := io.ReadAll(got.Body)
		return string(body), err
	}
	require.NoError(t, put("kept", "k", 100_000))

	disk.fill(t)
	for _, size := range []int{1, 100_000, 1 << 20} {
		require.Error(t, put("refused", "r", size))
		_, err := get("refused")
		require.ErrorContains(t, err, "NoSuchKey", "an object of %d bytes", size)
		require.Error(t, put("kept", "x", size))
		body, err := get("kept")
		require.NoError(t, err)
		require.Equal(t, strings.Repeat("k", 100_000), body, "after one of %d bytes", size)
	}

	disk.free(t)
	require.NoError(t, put("refused", "r", 1<<20))
	body, err := get("refused")
	require.NoError(t, err)
	require.Equal(t, strings.Repeat("r", 1<<20), body)
}

// TestAFullDiskRefusesWorkflows: what Temporal has acknowledged is there, also after kill -9, and
// it goes on when there is space.
func TestAFullDiskRefusesWorkflows(t *testing.T) {
	disk := newSmallDisk(t, "32m")
	port := freePort(t)
	args := []string{"temporal", "--db", filepath.Join(disk.dir, "t.db"), "--port", fmt.Sprint(port), "--namespace", "mail"}
	running := start(t, "Temporal 1.", args...)
	c, err := client.DialContext(t.Context(), client.Options{HostPort: address(loopback, port), Namespace: "mail"})
	require.NoError(t, err)
	t.Cleanup(c.Close)

	var accepted []string
	begin := func(patience time.Duration) error {
		id := fmt.Sprintf("w-%d", len(accepted))
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		_, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
			ID: id, TaskQueue: "q", WorkflowExecutionErrorWhenAlreadyStarted: false,
		}, "any", strings.Repeat("x", 20_000))
		if err == nil {
			accepted = append(accepted, id)
		}
		return err
	}
	require.NoError(t, begin(20*time.Second))
	disk.fill(t)
	for err = nil; err == nil && len(accepted) < 2000; {
		err = begin(5 * time.Second)
	}
	require.Error(t, err, "the disk is full")

	disk.free(t)
	eventually(t, func() error { return begin(5 * time.Second) })
	running.kill()
	start(t, "Temporal 1.", args...)
	for _, id := range accepted {
		eventually(t, func() error {
			_, err := c.DescribeWorkflowExecution(t.Context(), id, "")
			return err
		})
	}
	eventually(t, func() error { return begin(5 * time.Second) })
}
