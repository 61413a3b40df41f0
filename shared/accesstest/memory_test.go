package accesstest_test

import (
	"testing"

	"mailroom/shared/accesstest"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	accesstest.Run(t, func(*testing.T) accesstest.Store { return accesstest.NewMemory() })
}
