package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/require"
)

const (
	accessKey = "mailroom"
	secretKey = "mailroom-dev-secret"
)

// TestTheStoreComesBackWithItsData after kill -9, with attributes in the file system and in files.
func TestTheStoreComesBackWithItsData(t *testing.T) {
	for name, separate := range map[string]bool{"extended attributes": false, "attributes in files": true} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if separate {
				require.NoError(t, os.Mkdir(filepath.Join(dir, "attributes"), 0o700))
			}
			port := freePort(t)
			args := []string{"store", "--dir", dir, "--address", address(loopback, port)}
			c := storeClient(port)

			first := start(t, "S3 (versitygw v1.", args...)
			awaitHealth(t, port)
			_, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("mail")})
			require.NoError(t, err)
			_, err = c.PutObject(t.Context(), &s3.PutObjectInput{
				Bucket: aws.String("mail"), Key: aws.String("a/b"), Body: strings.NewReader("content"), ContentType: aws.String("text/x-kept"),
			})
			require.NoError(t, err)
			first.kill()

			start(t, "S3 (versitygw v1.", args...)
			awaitHealth(t, port)
			got, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("mail"), Key: aws.String("a/b")})
			require.NoError(t, err)
			body, err := io.ReadAll(got.Body)
			require.NoError(t, err)
			require.Equal(t, "content", string(body))
			require.Equal(t, "text/x-kept", aws.ToString(got.ContentType))
			require.FileExists(t, filepath.Join(dir, "objects", "mail", "a", "b"))

			var known smithy.APIError
			_, err = c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("mail"), Key: aws.String("a/c")})
			require.True(t, errors.As(err, &known) && known.ErrorCode() == "NoSuchKey", "%v", err)
		})
	}
}

// storeClient calls the store on a port of this machine.
func storeClient(port int) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(fmt.Sprintf("http://127.0.0.1:%d", port)), Region: "us-east-1", UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(accessKey, secretKey, ""),
	})
}

func awaitHealth(t *testing.T, port int) {
	t.Helper()
	eventually(t, func() error {
		conn, err := net.Dial("tcp", address(loopback, port))
		if err == nil {
			_ = conn.Close()
			res, _ := get(t, fmt.Sprintf("http://127.0.0.1:%d/health", port))
			require.Equal(t, http.StatusOK, res.StatusCode)
		}
		return err
	})
}

// TestAttributesAreNotLookedForElsewhere: data that was written with extended attributes is not
// read without them.
func TestAttributesAreNotLookedForElsewhere(t *testing.T) {
	dir := t.TempDir()
	separate := filepath.Join(dir, "attributes")
	_, err := findAttributes(filepath.Join(dir, "missing"), separate)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoDirExists(t, separate)
}
