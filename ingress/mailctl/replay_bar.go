package mailctl

import (
	"strings"

	"mailroom/shared/ledger"
)

// barWidth is in characters.
const barWidth = 24

func progressBar(r *ledger.ReplayRow) string {
	if r.Total <= 0 {
		return ""
	}
	full := int(min(barWidth, barWidth*(r.Done+r.Skipped+r.Failed)/r.Total))
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", barWidth-full) + "] "
}
