package authlog

import (
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"mailroom/shared/config"
)

func twoSources() []config.Source {
	return []config.Source{
		{Name: "mailparse", Secrets: []config.KeyRef{
			{Ref: "env:NOW", Key: config.NewSecret("hidden-secret")},
			{Ref: "env:BEFORE", Key: config.NewSecret("hidden-too"), Expires: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)},
		}},
		{Name: "open"},
	}
}

func TestKeyUse(t *testing.T) {
	t.Parallel()
	u := NewKeyUse(twoSources())
	at := time.Date(2026, 11, 1, 10, 0, 0, 0, time.UTC)
	require.True(t, u.LastUse("mailparse", 1).IsZero())
	u.RecordUse("mailparse", 2, at)
	require.Equal(t, at, u.LastUse("mailparse", 2))
	u.RecordUse("mailparse", 2, at.Add(-time.Hour))
	require.Equal(t, at, u.LastUse("mailparse", 2), "never back")
	u.RecordUse("mailparse", 2, at.Add(time.Second))
	require.Equal(t, at.Add(time.Second), u.LastUse("mailparse", 2))
	require.True(t, u.LastUse("mailparse", 1).IsZero())
	for _, unknown := range []struct {
		source string
		key    int
	}{{"mailparse", 0}, {"mailparse", 3}, {"mailparse", -1}, {"open", 1}, {"nobody", 1}} {
		u.RecordUse(unknown.source, unknown.key, at)
		require.True(t, u.LastUse(unknown.source, unknown.key).IsZero())
	}
	u.RecordUse("open", 0, at)
	require.Equal(t, at, u.LastUse("open", 0), "a source that verifies nothing")
}

func TestKeyUseMetrics(t *testing.T) {
	t.Parallel()
	u := NewKeyUse(twoSources())
	reg := prometheus.NewPedanticRegistry()
	require.NoError(t, reg.Register(u))
	u.RecordUse("mailparse", 1, time.Unix(1_790_000_000, 500_000_000))
	families, err := reg.Gather()
	require.NoError(t, err)
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetName() + "=" + l.GetValue()
			}
			got[name] = m.GetGauge().GetValue()
		}
	}

	require.Equal(t, map[string]float64{
		"mailroom_secret_expires_timestamp_seconds key=2 source=mailparse":   1_796_083_200,
		"mailroom_secret_last_used_timestamp_seconds key=1 source=mailparse": 1_790_000_000.5,
		"mailroom_secret_last_used_timestamp_seconds key=2 source=mailparse": 0,
	}, got)
}

func TestKeyUseManyAtOnce(t *testing.T) {
	t.Parallel()
	u := NewKeyUse(twoSources())
	at := time.Date(2026, 11, 1, 10, 0, 0, 0, time.UTC)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 1000 {
				u.RecordUse("mailparse", 1, at.Add(time.Duration(i*4+g)*time.Second))
				_ = u.LastUse("mailparse", 1)
			}
		})
	}
	wg.Wait()
	require.Equal(t, at.Add(3999*time.Second), u.LastUse("mailparse", 1))
}

func TestKeyUseAllocatesNothing(t *testing.T) {
	u := NewKeyUse(twoSources())
	at := time.Now()
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		at = at.Add(time.Second)
		u.RecordUse("mailparse", 1, at)
	}))
}
