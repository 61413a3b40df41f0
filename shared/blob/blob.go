package blob

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"mailroom/shared/config"
	"mailroom/shared/fault"
)

const (
	// idleConns is how many connections to the store stay open between calls.
	idleConns = 64
	// tries is how often one call is sent while the store is unavailable or slow. A
	// caller that wants to wait longer retries by itself.
	tries = 3
	// callTimeout ends a call, transferTimeout one that moves content.
	callTimeout     = 30 * time.Second
	transferTimeout = 10 * time.Minute
)

// Config names the endpoint of the store, its credentials and Mailroom's buckets.
type Config struct {
	Endpoint string // an http or https URL without path
	// PublicEndpoint is the URL that presigned links are made for; empty means Endpoint.
	PublicEndpoint    string
	Region            string // empty means us-east-1
	AccessKey         config.Secret
	SecretKey         config.Secret
	RawBucket         string
	AttachmentsBucket string
}

// Store is a client of the object store. It is safe for concurrent use and needs
// no closing.
type Store struct {
	core    *minio.Core
	public  *minio.Client
	region  string
	buckets map[Bucket]string
	cache   *cache
}

// New checks cfg. It does not connect.
func New(cfg Config) (*Store, error) {
	if cfg.RawBucket == "" || cfg.AttachmentsBucket == "" || cfg.RawBucket == cfg.AttachmentsBucket {
		return nil, errors.New("blob: two buckets with different names are needed")
	}
	if cfg.Region == "" {
		cfg.Region = "us-east-1" // without a region minio-go looks one up before the first call
	}
	if cfg.PublicEndpoint == "" {
		cfg.PublicEndpoint = cfg.Endpoint
	}

	client, err := newClient(cfg, cfg.Endpoint)
	if err != nil {
		return nil, err
	}

	public, err := newClient(cfg, cfg.PublicEndpoint)
	if err != nil {
		return nil, err
	}

	return &Store{
		core:    &minio.Core{Client: client},
		public:  public,
		region:  cfg.Region,
		buckets: map[Bucket]string{Raw: cfg.RawBucket, Attachments: cfg.AttachmentsBucket},
		cache:   newCache(),
	}, nil
}

func newClient(cfg Config, endpoint string) (*minio.Client, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || (u.Path != "" && u.Path != "/") ||
		u.User != nil || u.RawQuery != "" {
		return nil, errors.New("blob: an endpoint must be an http or https URL of host and port alone")
	}

	secure := u.Scheme == "https"
	transport, err := minio.DefaultTransport(secure)
	if err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}

	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 2*idleConns, idleConns
	transport.DialContext = (&net.Dialer{Timeout: callTimeout / 6, KeepAlive: callTimeout}).DialContext
	client, err := minio.New(u.Host, &minio.Options{
		Creds:      credentials.NewStaticV4(cfg.AccessKey.Reveal(), cfg.SecretKey.Reveal(), ""),
		Secure:     secure,
		Region:     cfg.Region,
		Transport:  transport,
		MaxRetries: tries,
	})
	if err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}

	return client, nil
}

// EnsureBuckets creates the buckets that do not exist. Concurrent calls, also by
// several processes, are safe.
func (s *Store) EnsureBuckets(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	for _, name := range s.buckets {
		exists, err := s.core.BucketExists(ctx, name)
		if err == nil && !exists {
			err = s.core.MakeBucket(ctx, name, minio.MakeBucketOptions{Region: s.region})
			if code := minio.ToErrorResponse(err).Code; code == minio.BucketAlreadyOwnedByYou || code == minio.BucketAlreadyExists {
				err = nil
			}
		}
		if err != nil {
			return classify("make bucket "+name, err)
		}
	}
	return nil
}

// Ready reports whether the store answers and both buckets are there.
func (s *Store) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	for _, name := range s.buckets {
		exists, err := s.core.BucketExists(ctx, name)
		if err == nil && !exists {
			err = fault.New(fault.StorageUnavailable, "a bucket of the object store is missing")
		}
		if err != nil {
			return classify("look for bucket "+name, err)
		}
	}
	return nil
}

// bucket returns the configured name of b.
func (s *Store) bucket(b Bucket) (string, error) {
	if name, ok := s.buckets[b]; ok {
		return name, nil
	}
	return "", fmt.Errorf("blob: no bucket %q", b)
}

// classify wraps err with the operation and turns it into a fault by the store's own
// code: a missing object is content_lost; everything else (an outage, a refused login,
// a missing bucket) is storage_unavailable, since time or an operator can cure it. The
// caller's own cancellation is passed on unchanged.
func classify(doing string, err error) error {
	var known *fault.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known) || errors.Is(err, context.Canceled):
	case minio.ToErrorResponse(err).Code == minio.NoSuchKey:
		err = fault.Wrap(fault.ContentLost, "the object store has no such content", err)
	default:
		err = fault.Wrap(fault.StorageUnavailable, "the object store does not answer; it will be tried again", err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}
