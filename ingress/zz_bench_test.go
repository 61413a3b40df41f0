package ingress

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"mailroom/ingress/source"
	"mailroom/shared/config"
	"mailroom/shared/pgtest"
)

func BenchmarkZZ(b *testing.B) {
	src, err := source.New(testSource(), config.Tenant{Name: "default", Domains: []string{"yourapp.example"}})
	require.NoError(b, err)
	db := pgtest.New(b)
	s, err := New(Config{Sources: []*source.Source{src}}, Deps{
		Ledger: db, Inbox: &memoryLedger{}, Meter: db, Bodies: &memoryBodies{}, Workflows: &fakeWorkflows{},
		Registry: prometheus.NewRegistry(), Logger: slog.New(slog.NewJSONHandler(io.Discard, nil)),
		Required: map[string]Check{"postgres": func(context.Context) error { return nil }},
	})
	require.NoError(b, err)
	s.starter.behind.Store(true)
	ln, _ := net.Listen("tcp", "127.0.0.1:0")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Serve(ctx, ln) }()
	cl := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	var n atomic.Int64
	b.ResetTimer()
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for {
				i := n.Add(1)
				if i > int64(b.N) {
					return
				}
				body := padded("evt_"+strconv.FormatInt(time.Now().UnixNano(), 36)+fmt.Sprint(i), 4096)
				r, _ := http.NewRequest("POST", "http://"+ln.Addr().String()+"/webhooks/email", strings.NewReader(string(body)))
				r.Header = sign(body)
				res, err := cl.Do(r)
				if err != nil || res.StatusCode != 200 {
					panic(fmt.Sprint(err, res))
				}
				io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	cl.CloseIdleConnections()
	cancel()
	<-done
}
