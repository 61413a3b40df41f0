package inspection

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"mailroom/shared/mail"
)

// maxBuiltIn is the highest number of bytes that the built-in scanner accepts in a scan.
const maxBuiltIn = 64 << 20

// BuiltIn is the scanner for development without clamd. It finds only the EICAR test
// file, also inside archives. It does not protect production mail.
type BuiltIn struct {
	limits Limits
	eicar  []byte
}

// NewBuiltIn returns a scanner that unpacks archives within limits.
func NewBuiltIn(limits Limits) *BuiltIn {
	// In two halves, so that no scanner reports the source or the program.
	eicar := append([]byte(`X5O!P%@AP[4\PZX54(P^)7CC)7}`), `$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*`...)
	return &BuiltIn{limits: limits, eicar: eicar}
}

// Note says that this scanner is for development alone.
func (*BuiltIn) Note() string { return "built-in, development only" }

// Watch does nothing: this scanner is always trusted.
func (*BuiltIn) Watch(context.Context) {}

// Ready is always nil.
func (*BuiltIn) Ready(context.Context) error { return nil }

// Version names the scanner.
func (*BuiltIn) Version(context.Context) (string, error) { return "built-in (development only)", nil }

// Using names the scanner; it has no database.
func (*BuiltIn) Using(context.Context) (scanner, database string) {
	return "built-in (development only)", ""
}

// infectedError ends a walk at the first infected file.
type infectedError string

func (e infectedError) Error() string { return string(e) }

// Scan reads r to its end. Content that it cannot open is unscannable; the only errors
// are r's and the context's.
func (b *BuiltIn) Scan(ctx context.Context, r io.Reader) (mail.Verdict, string, error) {
	content, err := io.ReadAll(io.LimitReader(r, maxBuiltIn+1))
	if err != nil {
		return "", "", fmt.Errorf("read what to scan: %w", err)
	}
	if len(content) > maxBuiltIn {
		return mail.Unscannable, mail.TooLargeToScan, nil
	}
	if err := b.scanFile(bytes.NewReader(content)); err != nil {
		return verdict(outcome{}, err)
	}
	return verdict(b.limits.walk(ctx, content, label{}, &spent{}, b.scanFile))
}

func verdict(met outcome, err error) (mail.Verdict, string, error) {
	var found infectedError
	switch {
	case errors.As(err, &found):
		return mail.Infected, string(found), nil
	case err != nil:
		return "", "", err
	}
	if problem := met.problem(true); problem != "" {
		return mail.Unscannable, problem, nil
	}
	return mail.Clean, "", nil
}

// scanFile reads one file and returns infectedError if it is infected.
func (b *BuiltIn) scanFile(r io.Reader) error {
	const chunk = 32 << 10
	overlap := len(b.eicar) - 1
	buf := make([]byte, overlap+chunk)
	kept := 0 // bytes of the last round at the front of buf
	for {
		n, err := r.Read(buf[kept : overlap+chunk])
		seen := buf[:kept+n]
		if bytes.Contains(seen, b.eicar) {
			return infectedError("Eicar-Test-Signature")
		}
		kept = copy(buf, seen[max(0, len(seen)-overlap):])
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
	}
}

// problem returns why walked content counts as unscanned, as the end of a sentence
// that begins with the attachment; empty if it was scanned. Opaque formats count only
// if the built-in scanner is alone, without clamd to open them.
func (o outcome) problem(alone bool) string {
	switch {
	case o.limit != "":
		return o.limit
	case o.encrypted:
		return "holds encrypted files"
	case o.damaged:
		return "is a damaged archive"
	case o.unknown:
		return "holds files packed by an unknown method"
	case o.malformed:
		return "holds a message that cannot be parsed"
	case o.closed:
		return "is or holds an archive of a format that is not opened here"
	case o.opaque && alone:
		return "is an archive that the built-in scanner cannot open"
	}
	return ""
}
