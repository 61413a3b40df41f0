package telemetry

import (
	"io"
	"log/slog"
	"strings"
	"time"

	temporallog "go.temporal.io/sdk/log"

	"mailroom/shared/contract"
)

const redacted = "[redacted]"

// withheld are the fields whose values never reach a log line: credentials and mail
// content. This is the second guard; the first is not to log them.
var withheld = map[string]bool{
	"authorization": true, "cookie": true, "dsn": true, "database_url": true,
	"secret": true, "password": true, "token": true, "access_key": true, "secret_key": true,
	"subject": true, "sender": true, "recipient": true, "recipients": true, "mail_from": true, "rcpt_to": true,
	"filename": true, "body": true, "text": true, "html": true, "headers": true,
}

// NewLogger returns a logger that writes one JSON object per line with time (UTC), level,
// msg and program. Level is debug, info, warn or error; anything else is info.
func NewLogger(w io.Writer, level, program string) *slog.Logger {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		l = slog.LevelInfo
	}
	h := slog.NewJSONHandler(w, &slog.HandlerOptions{Level: l, ReplaceAttr: replace})
	return slog.New(h).With("program", program)
}

func replace(groups []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey && len(groups) == 0 && a.Value.Kind() == slog.KindTime {
		return slog.Time(slog.TimeKey, a.Value.Time().UTC().Round(time.Microsecond))
	}
	key := strings.ToLower(a.Key)
	if withheld[key] || strings.HasSuffix(key, "_secret") || strings.HasSuffix(key, "_token") ||
		strings.HasSuffix(key, "_password") {
		return slog.String(a.Key, redacted)
	}
	return a
}

// Attrs identifies the email that a line is about: event_id, correlation_id, tenant
// and source, as keys and values for slog and for the loggers of Temporal alike.
// Only for an email that has been accepted: a refused request has no id yet.
func Attrs(e contract.Email) []any {
	return []any{
		"event_id", e.EventID,
		"correlation_id", e.CorrelationID,
		"tenant", e.Tenant,
		"source", e.Source,
	}
}

// TemporalLogger makes the Temporal SDK log through logger, with component=temporal.
func TemporalLogger(logger *slog.Logger) temporallog.Logger {
	return temporallog.NewStructuredLogger(logger.With("component", "temporal"))
}
