package signature

import (
	"fmt"
	"time"

	"mailroom/shared/fault"
)

// Bounds of timestamps.
const (
	maxTimestampDigits = 16
	// A timestamp below millisecondsFrom is in seconds, any other in milliseconds. The
	// limit is in the year 5138 for the one, in March 1973 for the other.
	millisecondsFrom = 100_000_000_000
)

// checkTolerance returns an error unless tolerance is positive.
func checkTolerance(scheme string, tolerance time.Duration) error {
	if tolerance <= 0 {
		return fmt.Errorf("%s: tolerance %s is not positive", scheme, tolerance)
	}
	return nil
}

// fresh returns a fault of code timestamp_stale if sent, in Unix milliseconds, is further
// than tolerance from now, in either direction.
func fresh(now time.Time, sent int64, tolerance time.Duration) error {
	if !within(now.UnixMilli(), sent, tolerance.Milliseconds()) {
		return fault.Newf(fault.TimestampStale, "the timestamp differs from the time here by more than %s; check the clock of the sender, and sign each attempt anew", tolerance)
	}
	return nil
}

// parseTimestamp parses Unix seconds or milliseconds of 1 to 16 decimal digits and nothing
// else. It returns Unix milliseconds.
func parseTimestamp(text string) (milliseconds int64, ok bool) {
	if len(text) == 0 || len(text) > maxTimestampDigits {
		return 0, false
	}
	var n int64
	for i := range len(text) {
		digit := text[i] - '0'
		if digit > 9 {
			return 0, false
		}
		n = n*10 + int64(digit)
	}
	if n < millisecondsFrom {
		n *= 1000
	}
	return n, true
}

// parseSeconds is parseTimestamp for seconds alone, without leading zeros, so that each
// number has one text. It returns Unix milliseconds.
func parseSeconds(text string) (milliseconds int64, ok bool) {
	if len(text) > 1 && text[0] == '0' || len(text) > len("99999999999") {
		return 0, false
	}
	return parseTimestamp(text)
}

// within reports whether sent is at most tolerance before or after now, all in
// milliseconds. Nothing overflows: now and sent are far below 2^62, and so is a tolerance
// that was a time.Duration.
func within(now, sent, tolerance int64) bool {
	return sent >= now-tolerance && sent <= now+tolerance
}
