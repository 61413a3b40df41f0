package tour

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mailroom/deploy/dev/stack"
)

// sample is one email that shows a feature.
type sample struct {
	id     string
	what   string // for the table
	to     string
	title  string // its subject
	file   string // name of the attachment; empty: none
	attach func() ([]byte, error)
}

// newStamp returns the end of the event ids of a tour: the time, so that no two tours send the
// same.
func newStamp(now time.Time) string { return now.UTC().Format("20060102t150405") }

// samples returns the emails of one tour.
func samples(stamp string) []sample {
	return []sample{
		{
			id: "sample-clean-" + stamp, what: "clean, with a picture", to: "support@yourapp.example",
			title: "A picture of the fault", file: "picture.png", attach: picture,
		},
		{
			id: "sample-infected-" + stamp, what: "EICAR test file in a zip", to: "support@yourapp.example",
			title: "Your invoice", file: "invoice.zip", attach: infectedZip,
		},
		{
			id: "sample-unrouted-" + stamp, what: "to an address without a rule", to: "unknown@yourapp.example",
			title: "A question",
		},
	}
}

// send posts a sample through mailctl.
func (x sample) send(ctx context.Context, s *stack.Stack) error {
	args := []string{
		"send", "-o", "json", "--event-id", x.id, "--from", "visitor@example.com", "--to", x.to,
		"--subject", x.title, "--text", "Sent by the local stack's tour.",
	}
	if x.attach != nil {
		content, err := x.attach()
		if err != nil {
			return fmt.Errorf("make %s: %w", x.file, err)
		}

		dir, err := os.MkdirTemp("", "mailroom-sample-")
		if err != nil {
			return fmt.Errorf("make %s: %w", x.file, err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		path := filepath.Join(dir, x.file)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return fmt.Errorf("make %s: %w", x.file, err)
		}
		args = append(args, "--attach", path)
	}

	if said, err := s.Mailctl(ctx, args...); err != nil {
		return fmt.Errorf("send %s: %s", x.id, said)
	}
	return nil
}

// picture returns a small PNG.
func picture() ([]byte, error) {
	const width, height = 160, 90
	drawn := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			drawn.Set(x, y, color.RGBA{R: uint8(x), G: uint8(2 * y), B: 160, A: 255})
		}
	}
	var out bytes.Buffer
	err := png.Encode(&out, drawn)
	return out.Bytes(), err
}

// infectedZip returns a ZIP archive with the EICAR test file.
func infectedZip() ([]byte, error) {
	var out bytes.Buffer
	archive := zip.NewWriter(&out)
	file, err := archive.Create("invoice.com")
	if err != nil {
		return nil, err
	}
	if _, err := file.Write([]byte(stack.EICAR())); err != nil {
		return nil, err
	}
	err = archive.Close()
	return out.Bytes(), err
}

// record is the name of a file with the stamp of samples that have not come to rest.
type record string

// read returns the recorded stamp, if there is one.
func (r record) read() (stamp string, found bool) {
	text, err := os.ReadFile(string(r))
	stamp = strings.TrimSpace(string(text))
	return stamp, err == nil && stamp != ""
}

func (r record) write(stamp string) error {
	if err := os.WriteFile(string(r), []byte(stamp+"\n"), 0o600); err != nil {
		return fmt.Errorf("record the samples: %w", err)
	}
	return nil
}

func (r record) remove() { _ = os.Remove(string(r)) }
