package secret

import (
	"errors"
	"fmt"
	"time"
)

// fileGoneAfter is how long a file has to be missing before it counts as gone: a
// program that replaces it may remove it first.
const fileGoneAfter = time.Minute

// ErrNothing is in the error about a secret that is not there: a variable that is
// not set, a file that is absent or empty, a name that the store does not know.
var ErrNothing = errors.New("resolves to nothing")

// errGone is in the error about a secret of which its store answered that it does not
// exist, unlike one whose store did not answer.
var errGone = errors.New("is gone")

// errNoField is such an answer too, where the secret was there with the field. At the
// first reading it is a mistake, not something to wait for.
var errNoField = goneError{errors.New("the secret has no field of that name")}

// nothing says why nothing is there.
func nothing(why string) error { return fmt.Errorf("%w: %s", ErrNothing, why) }

// gone is nothing for what the store says does not exist.
func gone(why string) error { return goneError{nothing(why)} }

// goneError is an error that is errGone too, without saying it.
type goneError struct{ error }

func (e goneError) Unwrap() []error { return []error{e.error, errGone} }

// missing notes that the store of c says it does not exist, at once with an alarm, and
// has it verify nothing when that was so for the grace period.
func (s *Store) missing(c *cell, now time.Time) {
	after := time.Duration(0)
	if c.at.scheme == schemeFile {
		after = fileGoneAfter
	}
	until, news, withdrawn := c.missing(now, after, s.graceNow())
	if news {
		s.logger.Error("secret.gone", "ref", c.at.text, "verifies_until", until)
	}
	if withdrawn {
		s.logger.Error("secret.withdrawn", "ref", c.at.text)
	}
}

func (s *Store) graceNow() time.Duration { return time.Duration(s.grace.Load()) }
