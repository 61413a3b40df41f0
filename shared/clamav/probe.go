package clamav

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"fmt"
	"io"
	"strings"
)

// probeLayers is the depth of the probe: clamd accepts no MaxRecursion above 100.
const probeLayers = 110

// limitAlert is the prefix of the names that clamd reports for content beyond a limit.
const limitAlert = "Heuristics.Limits.Exceeded"

// eicar returns the test file that every scanner reports. It is assembled at run time,
// so that no scanner reports the program.
func eicar() string {
	return strings.Join([]string{`X5O!P%@AP[4\PZX54(P^)7CC)7}`, `$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*`}, "")
}

// nested returns an archive of a few KiB that is nested more deeply than any clamd
// unpacks. Its core is random, because clamd caches clean files.
func nested() (io.Reader, error) {
	content := make([]byte, 32)
	if _, err := rand.Read(content); err != nil {
		return nil, fmt.Errorf("make probe: %w", err)
	}
	for range probeLayers {
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		if _, err := w.Write(content); err != nil {
			return nil, fmt.Errorf("make probe: %w", err)
		}
		if err := w.Close(); err != nil {
			return nil, fmt.Errorf("make probe: %w", err)
		}
		content = packed.Bytes()
	}
	return bytes.NewReader(content), nil
}
