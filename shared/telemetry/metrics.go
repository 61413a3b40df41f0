package telemetry

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/otlptranslator"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/opentelemetry"

	"mailroom/shared/build"
)

// timerBuckets are the bounds of Temporal's timers, in seconds: from a poll that is
// answered at once to an email that waits for an hour.
func timerBuckets() []float64 {
	return []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 3600}
}

// NewRegistry returns a registry with the metrics of the Go runtime, the process and the
// build, and none of the global registry.
func NewRegistry() *prometheus.Registry {
	reg := prometheus.NewRegistry()
	reg.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewBuildInfoCollector(),
		buildCollector(build.Read()),
	)
	return reg
}

// TemporalMetrics bridges the metrics of the Temporal SDK (temporal_*) to reg.
// A metric that cannot be recorded is logged and dropped; it never stops the
// program. Shutdown releases the bridge and is called after the last client is
// closed. A registry takes one bridge: two would show each series twice.
func TemporalMetrics(reg prometheus.Registerer, logger *slog.Logger) (
	client.MetricsHandler, func(context.Context) error, error,
) {
	exporter, err := otelprometheus.New(
		otelprometheus.WithRegisterer(reg),
		otelprometheus.WithoutScopeInfo(),
		otelprometheus.WithoutTargetInfo(),
		otelprometheus.WithTranslationStrategy(otlptranslator.UnderscoreEscapingWithSuffixes),
	)
	if err != nil {
		return nil, nil, fmt.Errorf("register temporal metrics: %w", err)
	}

	timers := metric.NewView(
		metric.Instrument{Kind: metric.InstrumentKindHistogram},
		metric.Stream{Aggregation: metric.AggregationExplicitBucketHistogram{Boundaries: timerBuckets()}},
	)
	provider := metric.NewMeterProvider(metric.WithReader(exporter), metric.WithView(timers))

	handler := opentelemetry.NewMetricsHandler(opentelemetry.MetricsHandlerOptions{
		Meter:                provider.Meter("temporal-sdk-go"),
		UseMonotonicCounters: true,
		OnError: func(err error) {
			logger.Warn("metric.dropped", "component", "temporal", "error", err)
		},
	})
	return handler, provider.Shutdown, nil
}
