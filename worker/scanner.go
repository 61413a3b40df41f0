package worker

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"mailroom/activities"
	"mailroom/shared/clamav"
	"mailroom/shared/config"
	"mailroom/shared/inspection"
)

// scanner is what the two scanners have in common.
type scanner interface {
	activities.Scanner
	Ready(ctx context.Context) error
	// Note says what people must know of a scanner that works; empty: nothing.
	Note() string
	// Watch keeps what the scanner knows of itself fresh until ctx is done.
	Watch(ctx context.Context)
}

// errNoScanner refuses to start.
var errNoScanner = errors.New("CLAMD_ADDRESS is not set: set it, or write `scanner: builtin` into the configuration, " +
	"for development alone: the built-in scanner knows the EICAR test file and little else")

// newScanner returns the client of the clamd at address. Without an address it
// returns the built-in scanner where the configuration chooses that, and says so
// loudly; else it is an error.
func newScanner(address string, c config.Scanner, logger *slog.Logger) (scanner, error) {
	switch {
	case address != "":
		if c.BuiltIn {
			logger.Warn("scanner.clamd", "detail", "scanner: builtin has no effect while CLAMD_ADDRESS is set")
		}
		client, err := clamav.New(clamav.Config{Address: address})
		if err != nil {
			return nil, err
		}
		return clamav.NewGuard(client, clamav.GuardConfig{MaxSignatureAge: maxSignatureAge(c), Logger: logger}), nil
	case !c.BuiltIn:
		return nil, errNoScanner
	default:
		logger.Warn("scanner.development", "detail",
			"scanner: builtin is configured: the built-in scanner knows the EICAR test file and little else, it is for development only")
		return inspection.NewBuiltIn(inspection.Limits{}, nil)
	}
}

// maxSignatureAge is zero where any age will do.
func maxSignatureAge(c config.Scanner) time.Duration {
	return max(time.Duration(c.MaxSignatureAge), 0)
}
