package inspection

import (
	"context"
	"fmt"
	"io"
)

// Limits bounds the cost of unpacking one attachment. A zero field means its default.
type Limits struct {
	Depth    int   // layers of archives inside archives; a .tar.gz has two; default 6
	Entries  int   // files and folders of all layers, all attachments of a mail together; default 10,000
	Ratio    int64 // unpacked to packed bytes, checked from ratioFrom on; default 200
	Unpacked int64 // bytes of all layers, all attachments of a mail together; default 256 MiB
	Nested   int64 // bytes of zips and messages inside others in memory at a time; default 32 MiB
}

// ratioFrom is the number of unpacked bytes from which the ratio is checked: small
// files of zeros are no attack.
const ratioFrom = 8 << 20

func (l Limits) withDefaults() Limits {
	if l.Depth <= 0 {
		l.Depth = 6
	}
	if l.Entries <= 0 {
		l.Entries = 10_000
	}
	if l.Ratio <= 0 {
		l.Ratio = 200
	}
	if l.Unpacked <= 0 {
		l.Unpacked = 256 << 20
	}
	if l.Nested <= 0 {
		l.Nested = 32 << 20
	}
	return l
}

// spent counts what the walks of one mail have used of its limits.
type spent struct {
	entries  int
	unpacked int64
}

// limitError ends a walk at a limit.
type limitError string

func (e limitError) Error() string { return string(e) }

// usage counts what one walk uses of the limits. Its counters cover all layers.
type usage struct {
	ctx      context.Context // as long as the walk
	limits   Limits
	packed   int64  // the size of what is walked
	unpacked int64  // of this walk
	nested   int64  // bytes in memory now
	used     *spent // of all walks of the mail
}

// layer checks depth against the limit of layers.
func (u *usage) layer(depth int) error {
	if depth > u.limits.Depth {
		return limitError(fmt.Sprintf("nests archives or messages more than %d deep", u.limits.Depth))
	}
	return nil
}

// entry counts one file or folder.
func (u *usage) entry() error {
	u.used.entries++
	if u.used.entries > u.limits.Entries {
		return u.tooMany()
	}
	return u.ctx.Err()
}

func (u *usage) tooMany() error {
	return limitError(fmt.Sprintf("holds more than %d files", u.limits.Entries))
}

// count adds n unpacked bytes to those of the mail.
func (u *usage) count(n int) error {
	u.unpacked += int64(n)
	u.used.unpacked += int64(n)
	switch {
	case u.used.unpacked <= u.limits.Unpacked:
		return nil
	case u.unpacked <= u.limits.Unpacked && u.used.unpacked > u.unpacked:
		return limitError(fmt.Sprintf("unpacks, with the attachments before it, to more than %d bytes", u.limits.Unpacked))
	}
	return limitError(fmt.Sprintf("unpacks to more than %d bytes", u.limits.Unpacked))
}

// hold counts n bytes as in memory until the returned function is called.
func (u *usage) hold(n int) func() {
	u.nested += int64(n)
	return func() { u.nested -= int64(n) }
}

func (u *usage) tooLarge() error {
	return limitError(fmt.Sprintf("holds zips or messages of more than %d bytes", u.limits.Nested))
}

// meter counts unpacked bytes and ends reading at the limits.
type meter struct {
	u *usage
	r io.Reader
}

func (m *meter) Read(p []byte) (int, error) {
	if err := m.u.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := m.r.Read(p)
	u := m.u
	if err := u.count(n); err != nil {
		return 0, err
	}
	if u.unpacked > ratioFrom && u.unpacked/max(u.packed, 1) > u.limits.Ratio {
		return 0, limitError(fmt.Sprintf("unpacks to more than %d times its size", u.limits.Ratio))
	}
	return n, err //nolint:wrapcheck // io.EOF must stay io.EOF
}
