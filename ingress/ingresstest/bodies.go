package ingresstest

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"mailroom/shared/blob"
)

// Bodies keeps objects in memory.
type Bodies struct {
	mu      sync.Mutex
	Objects map[string][]byte
	Err     error
	Hang    bool // until the caller gives up
	hanging atomic.Int64
}

// Put implements accept.Bodies.
func (b *Bodies) Put(ctx context.Context, bucket blob.Bucket, key string, r io.Reader, size int64, _ string) error {
	if b.Hang {
		b.hanging.Add(1)
		defer b.hanging.Add(-1)
		<-ctx.Done()
		return ctx.Err()
	}

	content, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if int64(len(content)) != size {
		return fmt.Errorf("%d bytes of %d", len(content), size)
	}

	b.mu.Lock()
	defer b.mu.Unlock()
	if b.Err != nil {
		return b.Err
	}
	if b.Objects == nil {
		b.Objects = map[string][]byte{}
	}
	b.Objects[string(bucket)+"/"+key] = content
	return nil
}

// Hanging returns how many calls hang at the moment.
func (b *Bodies) Hanging() int { return int(b.hanging.Load()) }

// Size returns how many objects there are.
func (b *Bodies) Size() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.Objects)
}
