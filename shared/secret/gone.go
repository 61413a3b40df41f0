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

// errNoField is such an answer too if the secret had the field before. At the first read
// it is a mistake in the reference and is not waited for.
var errNoField = goneError{errors.New("the secret has no field of that name")}

// nothing returns ErrNothing with a reason.
func nothing(why string) error { return fmt.Errorf("%w: %s", ErrNothing, why) }

// gone is nothing for a secret of which the store says that it does not exist.
func gone(why string) error { return goneError{nothing(why)} }

// goneError is an error that is errGone too, without the text of that.
type goneError struct{ error }

func (e goneError) Unwrap() []error { return []error{e.error, errGone} }

// missing records that the store of c says that it does not exist. It logs that at once,
// and withdraws the secret when the grace period is over.
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
