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

// scanner is implemented by clamd's client and by the built-in scanner.
type scanner interface {
	activities.Scanner
	Ready(ctx context.Context) error
	// Note returns what operators must know of a scanner that works; usually empty.
	Note() string
	// Watch refreshes the scanner's state until ctx is done.
	Watch(ctx context.Context)
}

// errNoScanner refuses to start.
var errNoScanner = errors.New("CLAMD_ADDRESS is not set: set it, or write `scanner: builtin` into the configuration, " +
	"for development alone: the built-in scanner knows the EICAR test file and little else")

// newScanner returns the client of the clamd at address. Without an address it
// returns the built-in scanner if the configuration chooses it, and logs a warning;
// otherwise it returns an error.
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
		return inspection.NewBuiltIn(inspection.Limits{}), nil
	}
}

// maxSignatureAge returns zero if any age is accepted.
func maxSignatureAge(c config.Scanner) time.Duration {
	return max(time.Duration(c.MaxSignatureAge), 0)
}
