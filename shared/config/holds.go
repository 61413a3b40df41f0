package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"mailroom/shared/contract"
)

// The defaults of holds.
const (
	defaultRemind       = 4 * time.Hour
	defaultEscalate     = 24 * time.Hour
	defaultDiscardAfter = 7 * 24 * time.Hour
	// RepeatReminders is the time from an escalation to the next reminder, and from
	// each to the next.
	RepeatReminders = 7 * 24 * time.Hour
)

// What happens to the content of discarded mail.
const (
	DiscardKeep   = "keep"
	DiscardRemove = "remove"
)

// Holds sets when operators are reminded of mail that waits for them, and what happens to
// it without a decision.
type Holds struct {
	Remind   time.Duration `yaml:"remind"`   // default 4h
	Escalate time.Duration `yaml:"escalate"` // from the begin of the hold as well; default 24h
	// Notify names the destination that gets mailroom.hold.v1; empty: none.
	Notify string `yaml:"notify"`
	// Link is the address of the console, for links in notices; empty: none.
	Link    string                         `yaml:"link"`
	Reasons map[contract.Reason]HoldReason `yaml:"reasons"`
}

// HoldReason overrides Holds for one reason, and may set a deadline.
type HoldReason struct {
	Remind   time.Duration `yaml:"remind"`
	Escalate time.Duration `yaml:"escalate"`
	// Deadline is when AtDeadline takes effect; zero: never.
	Deadline   time.Duration `yaml:"deadline"`
	AtDeadline string        `yaml:"at_deadline"` // keep, discard or release
}

// Discard sets what happens to the content of discarded mail.
type Discard struct {
	Content string        `yaml:"content"` // keep (the default) or remove
	After   time.Duration `yaml:"after"`   // default 168h
}

func (h *Holds) applyDefaults() {
	orDefault(&h.Remind, defaultRemind)
	orDefault(&h.Escalate, max(defaultEscalate, h.Remind))
}

func (d *Discard) applyDefaults() {
	orDefault(&d.Content, DiscardKeep)
	orDefault(&d.After, defaultDiscardAfter)
}

// Plan returns the plan of a hold for several reasons: the earliest reminders, the largest
// number of approvals, and the latest deadline, but only if every reason has one and all
// have the same policy.
func (f *File) Plan(reasons []contract.Reason) contract.HoldPlan {
	p := contract.HoldPlan{Approvals: 1, RepeatSeconds: seconds(RepeatReminders)}
	remind, escalate := time.Duration(0), time.Duration(0)
	var deadline time.Duration
	policies := map[string]bool{}

	for _, r := range reasons {
		one := f.Holds.Reasons[r]
		orDefault(&one.Remind, f.Holds.Remind)
		orDefault(&one.Escalate, max(f.Holds.Escalate, one.Remind))
		remind, escalate = earliest(remind, one.Remind), earliest(escalate, one.Escalate)
		p.Approvals = max(p.Approvals, f.Approvals[r])
		deadline = max(deadline, one.Deadline)
		policies[one.AtDeadline] = true // "" where there is no deadline
	}

	p.RemindSeconds, p.EscalateSeconds = seconds(remind), seconds(escalate)
	if len(policies) == 1 && !policies[""] {
		p.DeadlineSeconds = seconds(deadline)
		for policy := range policies {
			p.AtDeadline = policy
		}
	}
	return p
}

// earliest returns the shorter of two times, of which zero means none.
func earliest(a, b time.Duration) time.Duration {
	if a == 0 {
		return b
	}
	return min(a, b)
}

// seconds rounds up, so that a positive time never becomes zero.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// checkHolds checks reasons, destinations, links and times of holds and approvals.
func (c *checker) checkHolds(f *File) {
	for r := range f.Approvals {
		if problem := checkReason(r); problem != "" {
			c.add(problem, "approvals", string(r))
		}
	}

	h := f.Holds
	if _, ok := f.Destination(h.Notify); !ok && h.Notify != "" {
		c.add(fmt.Sprintf("no destination is named %q", h.Notify), "holds", "notify")
	}
	if h.Link != "" {
		if problem := checkURL(h.Link); problem != "" {
			c.add(problem, "holds", "link")
		}
	}

	remind := h.Remind
	orDefault(&remind, defaultRemind)
	if h.Escalate > 0 && h.Escalate < remind {
		c.add(fmt.Sprintf("must not come before the reminder, %s", remind), "holds", "escalate")
	}

	for r, one := range f.Holds.Reasons {
		if problem := checkReason(r); problem != "" {
			c.add(problem, "holds", "reasons", string(r))
		}

		at := func(field string) []any { return []any{"holds", "reasons", string(r), field} }
		first := one.Remind
		orDefault(&first, remind)
		if one.Escalate > 0 && one.Escalate < first {
			c.add(fmt.Sprintf("must not come before the reminder, %s", first), at("escalate")...)
		}
		switch {
		case one.Deadline > 0 && one.AtDeadline == "":
			c.add("must say what happens to the email: keep, discard or release", at("at_deadline")...)
		case one.Deadline == 0 && one.AtDeadline != "":
			c.add("must say when", at("deadline")...)
		}
	}
}

// checkReason returns what is wrong with the name of a reason.
func checkReason(r contract.Reason) string {
	if slices.Contains(contract.Reasons, r) {
		return ""
	}

	names := make([]string, len(contract.Reasons))
	for i, known := range contract.Reasons {
		names[i] = string(known)
	}
	return "is not a reason that Mailroom knows; known: " + strings.Join(names, ", ")
}
