package blob

import (
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/stretchr/testify/require"
)

// As makes s act with other credentials, such as temporary ones with fewer rights.
func (s *Store) As(t testing.TB, endpoint string, with *credentials.Credentials) {
	t.Helper()
	client, err := minio.New(endpoint, &minio.Options{Creds: with, Region: s.region})
	require.NoError(t, err)
	s.core, s.public = &minio.Core{Client: client}, client
}

// Client returns the client that s uses.
func (s *Store) Client() *minio.Client { return s.core.Client }
