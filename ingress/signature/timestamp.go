package signature

import (
	"fmt"
	"time"

	"mailroom/shared/fault"
)

// Bounds of timestamps.
const (
	maxTimestampDigits = 16
	// Below this a timestamp counts seconds, from it on milliseconds: the year
	// 5138 for one, March 1973 for the other.
	millisecondsFrom = 100_000_000_000
)

// checkTolerance refuses a window in which nothing, or everything, is fresh.
func checkTolerance(scheme string, tolerance time.Duration) error {
	if tolerance <= 0 {
		return fmt.Errorf("%s: tolerance %s is not positive", scheme, tolerance)
	}
	return nil
}

// fresh refuses a time that is further from now than tolerance, both ways.
func fresh(now time.Time, sent int64, tolerance time.Duration) error {
	if !within(now.UnixMilli(), sent, tolerance.Milliseconds()) {
		return fault.Newf(fault.TimestampStale, "the timestamp is more than %s away from the time here", tolerance)
	}
	return nil
}

// parseTimestamp reads strict decimal (no sign, exponent, space or point) and
// gives Unix milliseconds.
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

// parseSeconds reads what parseTimestamp reads as seconds, and without leading
// zeros: the number and its text are one. It gives Unix milliseconds.
func parseSeconds(text string) (milliseconds int64, ok bool) {
	if len(text) > 1 && text[0] == '0' || len(text) > len("99999999999") {
		return 0, false
	}
	return parseTimestamp(text)
}

// within compares without a subtraction that could overflow: now and sent are far
// below 2^62 by construction, and so is the tolerance, which was a Duration.
func within(now, sent, tolerance int64) bool {
	return sent >= now-tolerance && sent <= now+tolerance
}
