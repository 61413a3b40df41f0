package blob_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/stretchr/testify/require"

	"mailroom/shared/blob"
	"mailroom/shared/blobtest"
	"mailroom/shared/fault"
	"mailroom/shared/testenv"
)

// documentedRights is the policy of deploy/docs/production.md for the buckets of cfg.
func documentedRights(t *testing.T, cfg blob.Config) string {
	t.Helper()
	page, err := os.ReadFile("../../deploy/docs/production.md")
	require.NoError(t, err)
	policy := regexp.MustCompile("(?s)```json\n(.*?)```").FindSubmatch(page)
	require.NotNil(t, policy)
	return strings.NewReplacer("mailroom-raw", cfg.RawBucket, "mailroom-attachments", cfg.AttachmentsBucket).Replace(string(policy[1]))
}

// restricted opens stores with the documented rights, or with fewer: without is an action
// that is taken from them.
func restricted(t *testing.T, without string) func(t *testing.T) *blob.Store {
	t.Helper()
	s3 := testenv.S3(t)
	cfg := newConfig(t, s3)
	require.NoError(t, open(t, cfg).EnsureBuckets(t.Context()))
	policy := documentedRights(t, cfg)
	if without != "" {
		require.Contains(t, policy, without)
		policy = strings.Replace(policy, without, "s3:GetBucketTagging", 1)
	}
	limited, err := credentials.NewSTSAssumeRole(s3.Endpoint, credentials.STSAssumeRoleOptions{
		AccessKey: s3.AccessKey, SecretKey: s3.SecretKey, Policy: policy, Location: "us-east-1",
	})
	require.NoError(t, err)

	return func(t *testing.T) *blob.Store {
		t.Helper()
		s := open(t, cfg)
		s.As(t, strings.TrimPrefix(s3.Endpoint, "http://"), limited)
		return s
	}
}

// TestDocumentedRightsAreEnough runs every call of the object store with the rights that
// production.md asks for.
func TestDocumentedRightsAreEnough(t *testing.T) {
	t.Parallel()
	as := restricted(t, "")
	s := as(t)
	require.NoError(t, s.EnsureBuckets(t.Context()))
	require.NoError(t, s.Ready(t.Context()))
	blobtest.Run(t, func(t *testing.T) blobtest.Store { return as(t) })

	large := strings.Repeat("x", 40<<20) // in several parts
	require.NoError(t, s.Put(t.Context(), blob.Raw, "large", strings.NewReader(large), int64(len(large)), ""))
	require.NoError(t, s.Remove(t.Context(), blob.Raw, "large"))

	client := s.Client()
	require.Error(t, client.MakeBucket(t.Context(), "another-bucket", minio.MakeBucketOptions{}), "other rights are not granted")
}

// TestEachDocumentedRightIsNeeded takes one right away at a time.
func TestEachDocumentedRightIsNeeded(t *testing.T) {
	t.Parallel()
	for action, call := range map[string]func(s *blob.Store) error{
		"s3:ListBucket":   func(s *blob.Store) error { return s.Ready(t.Context()) },
		"s3:PutObject":    func(s *blob.Store) error { return s.PutBytes(t.Context(), blob.Raw, "k", []byte("x"), "") },
		"s3:GetObject":    func(s *blob.Store) error { _, err := s.Get(t.Context(), blob.Raw, "k"); return err },
		"s3:DeleteObject": func(s *blob.Store) error { return s.Remove(t.Context(), blob.Raw, "k") },
	} {
		err := call(restricted(t, action)(t))
		require.Error(t, err, action)
		require.False(t, fault.Is(err, fault.ContentLost), "%s: a missing right is no lost content: %v", action, err)
	}
}
