package workflows

import "mailroom/shared/contract"

// Waivable reports whether an approval lets a reason pass.
func Waivable(r contract.Reason) bool { return !again[r] }
