//go:build !failpoints

package failpoint

import "testing"

// TestOffByDefault: whoever sets the variable cannot end an ordinary build.
func TestOffByDefault(t *testing.T) {
	t.Setenv(Variable, string(BeforeStore))
	for range 3 {
		Hit(BeforeStore)
	}
}
