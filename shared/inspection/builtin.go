package inspection

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"mailroom/shared/mail"
)

// maxBuiltIn is the most bytes that the built-in scanner takes in one scan.
const maxBuiltIn = 64 << 20

// BuiltIn is the scanner for development where no clamd is: it knows the EICAR
// test file and the hashes it is given, raw and inside archives. Mail of the
// world must not rely on it.
type BuiltIn struct {
	limits Limits
	hashes map[string]string
	eicar  []byte
}

// NewBuiltIn makes a scanner that calls content infected when its SHA-256, in
// lower-case hex, is a key of hashes; the value is the name it reports.
func NewBuiltIn(limits Limits, hashes map[string]string) (*BuiltIn, error) {
	for hash := range hashes {
		if sum, err := hex.DecodeString(hash); err != nil || len(sum) != sha256.Size || hash != strings.ToLower(hash) {
			return nil, errors.New("built-in scanner: a key of hashes is not a SHA-256 in lower-case hex")
		}
	}
	// In two halves, so that neither source nor program is taken for the test file.
	eicar := append([]byte(`X5O!P%@AP[4\PZX54(P^)7CC)7}`), `$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*`...)
	return &BuiltIn{limits: limits, hashes: hashes, eicar: eicar}, nil
}

// Note says that this scanner is for development alone.
func (*BuiltIn) Note() string { return "built-in, development only" }

// Watch does nothing: there is nothing that could change.
func (*BuiltIn) Watch(context.Context) {}

// Ready is always nil.
func (*BuiltIn) Ready(context.Context) error { return nil }

// Version names the scanner.
func (*BuiltIn) Version(context.Context) (string, error) { return "built-in (development only)", nil }

// Using names the scanner; it has no database.
func (*BuiltIn) Using(context.Context) (scanner, database string) {
	return "built-in (development only)", ""
}

// infectedError ends a walk at the first find.
type infectedError string

func (e infectedError) Error() string { return string(e) }

// Scan reads r to its end. What it cannot look into is unscannable; the only
// errors are r's and the context's.
func (b *BuiltIn) Scan(ctx context.Context, r io.Reader) (mail.Verdict, string, error) {
	content, err := io.ReadAll(io.LimitReader(r, maxBuiltIn+1))
	if err != nil {
		return "", "", fmt.Errorf("read what to scan: %w", err)
	}
	if len(content) > maxBuiltIn {
		return mail.Unscannable, mail.TooLargeToScan, nil
	}
	if err := b.look(bytes.NewReader(content)); err != nil {
		return verdict(outcome{}, err)
	}
	return verdict(b.limits.walk(ctx, content, label{}, &spent{}, b.look))
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

// look reads one file and returns infectedError when it is known to be bad.
func (b *BuiltIn) look(r io.Reader) error {
	const chunk = 32 << 10
	overlap := len(b.eicar) - 1
	sum := sha256.New()
	buf := make([]byte, overlap+chunk)
	kept := 0 // bytes of the last round at the front of buf
	for {
		n, err := r.Read(buf[kept : overlap+chunk])
		sum.Write(buf[kept : kept+n])
		seen := buf[:kept+n]
		if bytes.Contains(seen, b.eicar) {
			return infectedError("Eicar-Test-Signature")
		}
		kept = copy(buf, seen[max(0, len(seen)-overlap):])
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
	}

	if name, ok := b.hashes[hex.EncodeToString(sum.Sum(nil))]; ok {
		return infectedError(name)
	}

	return nil
}

// problem says why what was walked counts as not looked into, as the end of a
// sentence that begins with the attachment; empty when it was. Formats that are
// opaque here count only where nobody else will open them.
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
