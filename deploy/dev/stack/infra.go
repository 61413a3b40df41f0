package stack

import (
	"context"
	"fmt"
	"net/url"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// Infra is where the services are that the programs need, those of this stack or others.
type Infra struct {
	DatabaseURL                  string
	S3Endpoint                   string // an http URL
	S3AccessKey, S3SecretKey     string
	RawBucket, AttachmentsBucket string
	Clamd                        string // host:port; empty: the built-in scanner
	Temporal, TemporalNamespace  string // host:port
}

// The buckets of a stack that is not isolated.
const (
	rawBucket         = "mailroom-raw"
	attachmentsBucket = "mailroom-attachments"
	region            = "us-east-1"
)

// vars returns the variables by which the programs find the services. They replace every
// TEMPORAL_* variable and the configuration file of the caller's own Temporal.
func (i Infra) vars() Vars {
	return Vars{
		"DATABASE_URL": i.DatabaseURL,
		"S3_ENDPOINT":  i.S3Endpoint, "S3_PUBLIC_ENDPOINT": i.S3Endpoint, "S3_REGION": region,
		"S3_ACCESS_KEY": i.S3AccessKey, "S3_SECRET_KEY": i.S3SecretKey,
		"MAILROOM_RAW_BUCKET": i.RawBucket, "MAILROOM_ATTACHMENTS_BUCKET": i.AttachmentsBucket,
		"CLAMD_ADDRESS":    i.Clamd,
		"TEMPORAL_ADDRESS": i.Temporal, "TEMPORAL_NAMESPACE": i.TemporalNamespace, "TEMPORAL_CONFIG_FILE": "/dev/null",
	}
}

// Isolate creates, on the same servers, a database, buckets and a Temporal namespace with
// Mailroom's search attributes, all called name: programs that use them see nothing of
// others. A name is lower-case letters and digits, begins with a letter and is at most 40
// long. Repeating it is harmless.
func Isolate(ctx context.Context, servers Infra, name string) (Infra, error) {
	own := servers
	database, err := url.Parse(servers.DatabaseURL)
	if err != nil {
		return Infra{}, fmt.Errorf("isolate %s: the database URL cannot be read", name)
	}
	database.Path = "/" + name
	own.DatabaseURL = database.String()
	own.TemporalNamespace = name
	own.RawBucket, own.AttachmentsBucket = name+"-raw", name+"-attachments"

	if err := ensureDatabase(ctx, servers.DatabaseURL, name); err != nil {
		return Infra{}, fmt.Errorf("isolate %s: %w", name, err)
	}
	if err := ensureBuckets(ctx, own); err != nil {
		return Infra{}, fmt.Errorf("isolate %s: %w", name, err)
	}
	err = withTemporal(own.Temporal, func(c temporalClient) error { return c.createNamespace(ctx, name) })
	if err != nil {
		return Infra{}, fmt.Errorf("isolate %s: %w", name, err)
	}
	return own, nil
}

func ensureBuckets(ctx context.Context, i Infra) error {
	endpoint, err := url.Parse(i.S3Endpoint)
	if err != nil {
		return fmt.Errorf("the S3 endpoint is no URL: %w", err)
	}
	client, err := minio.New(endpoint.Host, &minio.Options{
		Creds:  credentials.NewStaticV4(i.S3AccessKey, i.S3SecretKey, ""),
		Secure: endpoint.Scheme == "https", Region: region, MaxRetries: 1,
	})
	if err != nil {
		return fmt.Errorf("connect to the object store: %w", err)
	}
	for _, bucket := range []string{i.RawBucket, i.AttachmentsBucket} {
		err := client.MakeBucket(ctx, bucket, minio.MakeBucketOptions{Region: region})
		code := minio.ToErrorResponse(err).Code
		if err != nil && code != minio.BucketAlreadyOwnedByYou && code != minio.BucketAlreadyExists {
			return fmt.Errorf("make bucket %s: %w", bucket, err)
		}
	}
	return nil
}

// TestVars returns the variables by which a test run tells its tests where the services
// and the programs are; package shared/testenv reads them.
func (i Infra) TestVars(dir, bin string) Vars {
	return Vars{
		"MAILROOM_TEST_REQUIRED":      "1",
		"MAILROOM_TEST_DIR":           dir,
		"MAILROOM_TEST_BIN":           bin,
		"MAILROOM_TEST_DATABASE_URL":  i.DatabaseURL,
		"MAILROOM_TEST_S3_ENDPOINT":   i.S3Endpoint,
		"MAILROOM_TEST_S3_ACCESS_KEY": i.S3AccessKey,
		"MAILROOM_TEST_S3_SECRET_KEY": i.S3SecretKey,
		"MAILROOM_TEST_CLAMD":         i.Clamd,
		"MAILROOM_TEST_TEMPORAL":      i.Temporal,
	}
}

// TestInfra returns the services of the test run that the caller is part of. Isolate them
// before programs use them.
func TestInfra(getenv func(string) string) Infra {
	return Infra{
		DatabaseURL: getenv("MAILROOM_TEST_DATABASE_URL"),
		S3Endpoint:  getenv("MAILROOM_TEST_S3_ENDPOINT"),
		S3AccessKey: getenv("MAILROOM_TEST_S3_ACCESS_KEY"),
		S3SecretKey: getenv("MAILROOM_TEST_S3_SECRET_KEY"),
		RawBucket:   rawBucket, AttachmentsBucket: attachmentsBucket,
		Clamd:    getenv("MAILROOM_TEST_CLAMD"),
		Temporal: getenv("MAILROOM_TEST_TEMPORAL"), TemporalNamespace: defaultNamespace,
	}
}
