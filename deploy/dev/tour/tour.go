// Package tour shows a running stack to a newcomer: it sends sample emails, prints their states
// and where to look, and follows the logs.
//
// Invariants: it changes nothing but by sending mail; it prints no secret other than those that
// development publishes.
//
// Tour is in this file, the emails in samples.go; `make dev` runs one through deploy/dev/command:
// the samples are sent while the stack still starts, as soon as the ingress accepts email.
package tour

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"slices"
	"time"

	"mailroom/deploy/dev/process"
	"mailroom/deploy/dev/stack"
	"mailroom/shared/contract"
)

const (
	statePoll = 250 * time.Millisecond
	patience  = time.Minute // for the samples to come to rest
	asking    = 5 * time.Second
)

// Addresses prints where the parts of a running stack are.
func Addresses(out io.Writer, s *stack.Stack, vars stack.Vars, who Operator) {
	lines := [][2]string{
		{"webhook", s.IngressURL() + "/webhooks/email"},
		{"console", s.OperatorURL() + "   token to sign in with: " + who.shown()},
		{"operator API", s.OperatorURL() + "/api/v1/emails   bearer token: " + who.shown()},
		{"Temporal Web UI", s.TemporalUI()},
		{"metrics", s.MetricsURL(stack.Ingress) + "   " + s.MetricsURL(stack.Worker)},
	}
	if slices.Contains(s.Services(), stack.MinIO) {
		lines = append(lines, [2]string{
			"MinIO console", s.S3Console() + "   user: " + vars.Get("S3_ACCESS_KEY") + "   password: " + secret(vars, "S3_SECRET_KEY"),
		})
	}
	_, _ = fmt.Fprintln(out, "Mailroom is up:")
	for _, line := range lines {
		_, _ = fmt.Fprintf(out, "  %-16s %s\n", line[0], line[1])
	}
}

// secret returns a secret that development publishes; of any other it returns where it is stored.
func secret(vars stack.Vars, name string) string {
	if value := vars.Get(name); value == stack.DevDefaults().Get(name) {
		return value
	}
	return "your " + name
}

// Tour sends the samples of one `make dev` and follows them.
type Tour struct {
	stack   *stack.Stack
	who     Operator
	console *process.Console
	out     io.Writer
	caller  stack.Caller
	record  record

	follower *follower
	sent     []sample
	accepted chan struct{}       // closed when the samples are accepted
	rested   chan struct{}       // closed when they have come to rest
	states   map[string]standing // when they rest
}

// New returns the tour of a stack that is about to start. The file of that name records which
// samples have not come to rest, so that the next tour goes on with them.
func New(s *stack.Stack, who Operator, out io.Writer, console *process.Console, caller stack.Caller, file string) *Tour {
	return &Tour{
		stack: s, who: who, console: console, out: out, caller: caller, record: record(file),
		accepted: make(chan struct{}), rested: make(chan struct{}), states: map[string]standing{},
	}
}

// Begin returns the step of a start that sends the samples, once the ingress runs. From then on
// each change of their states is printed, until ctx ends. Samples that cannot be sent do not
// fail the start: the step says so and is done.
func (t *Tour) Begin(ctx context.Context) stack.Step {
	go t.watch(ctx)
	return stack.Step{Name: "samples", Needs: []string{stack.Ingress}, Run: func(ctx context.Context) error {
		if err := t.send(ctx); err != nil && ctx.Err() == nil {
			t.console.Say("the samples were not sent: %s", process.OneLine(err))
		}
		return ctx.Err()
	}}
}

// send sends the samples that the ledger does not have yet.
func (t *Tour) send(ctx context.Context) error {
	stamp, earlier := t.record.read()
	if !earlier {
		stamp = newStamp(time.Now())
	}
	if !earlier && t.who.token != "" { // without a token their states are never known
		if err := t.record.write(stamp); err != nil {
			return err
		}
	}

	t.follower, t.sent = follow(t.stack), samples(stamp)
	for _, x := range t.sent {
		known := false
		if earlier {
			var err error
			if known, err = isKnown(ctx, t.stack, t.who, x.id); err != nil {
				return err
			}
		}
		state := "was accepted by the last run and goes on"
		if !known {
			if err := x.send(ctx, t.stack); err != nil {
				return err
			}
			state = "accepted"
		}
		t.console.Say("%-28s %-34s %s", x.what, x.id, state)
	}
	t.console.Promise(fmt.Sprintf("%d emails are accepted", len(t.sent)))
	close(t.accepted)
	return nil
}

// Run waits until the samples rest, prints what to do next, and follows the logs until ctx ends.
// It prints errors itself.
func (t *Tour) Run(ctx context.Context) {
	if err := t.awaitRest(ctx); err != nil && ctx.Err() == nil {
		t.console.Say("the samples did not go through: %s", process.OneLine(err))
	}
	if ctx.Err() != nil {
		return
	}
	for _, x := range t.sent {
		if t.states[x.id].Reason == contract.Infected {
			t.whatNext(x)
		}
	}
	_, _ = fmt.Fprintln(t.out, "\nLogs (Ctrl-C stops everything):")
	t.follower.run(ctx, t.out)
}

// whatNext prints how an operator decides about a held email.
func (t *Tour) whatNext(held sample) {
	workflow := contract.WorkflowID(contract.FirstSource, held.id)
	_, _ = fmt.Fprintf(t.out, `
%s is held. See why in the Temporal Web UI:
  %s/namespaces/default/workflows/%s
Approve it there (Send a Signal: approve), or with:
`, held.id, t.stack.TemporalUI(), url.PathEscape(workflow))

	if temporal := t.temporal(); temporal != "" {
		_, _ = fmt.Fprintf(t.out, "  %s workflow signal --address %s --workflow-id %s --name approve --input '{\"actor\":\"you\",\"note\":\"checked\"}'\n",
			temporal, t.stack.Infra().Temporal, workflow)
	}
	_, _ = fmt.Fprintf(t.out, "  %s%s emails approve %s --note \"checked\"\n", t.who.prefix(), t.caller.Mailctl, held.id)
}

// temporal returns how Temporal's command line is called, empty if it is not here.
func (t *Tour) temporal() string {
	const onPath = "temporal"
	_, err := exec.LookPath(onPath)
	switch {
	case err == nil:
		return onPath
	case t.caller.Program == "":
		return "$(make temporal)" // it builds the command line once, and prints where it is
	}
	return ""
}

// standing is the state of an email in the operator API.
type standing struct {
	State  contract.State  `json:"state"`
	Reason contract.Reason `json:"reason"`
}

func (x standing) String() string {
	if x.Reason != "" {
		return string(x.State) + ": " + string(x.Reason)
	}
	return string(x.State)
}

// rests reports whether the email is final or waits for an operator.
func (x standing) rests() bool { return x.State.Terminal() || x.State == contract.Quarantined }

// awaitRest waits until the samples rest. It ends the watching.
func (t *Tour) awaitRest(ctx context.Context) error {
	defer t.console.Reassure(ctx)()
	defer t.console.Await("the samples")()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case <-t.accepted:
	default:
		t.follower = follow(t.stack)
		return nil // they were not sent, which has been said
	}

	select {
	case <-t.rested:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timeout.C:
		return fmt.Errorf("they did not come to rest within %s: `%s emails list` shows where they are", patience, t.caller.Mailctl)
	}
}

// watch prints a row for every change of state until all samples rest or ctx ends.
func (t *Tour) watch(ctx context.Context) {
	select {
	case <-t.accepted:
	case <-ctx.Done():
		return
	}

	tick := time.NewTicker(statePoll)
	defer tick.Stop()
	known := map[string]standing{}
	for {
		moving := 0
		for _, x := range t.sent {
			if now, err := ask(ctx, t.stack, t.who, x.id); err == nil && now != known[x.id] {
				known[x.id] = now
				if now.State != contract.Processing { // as accepted, which has been said
					t.console.Say("%-28s %-34s %s", x.what, x.id, now)
				}
			}
			if !known[x.id].rests() {
				moving++
			}
		}

		if moving == 0 {
			t.states = known
			t.console.Promise("")
			t.record.remove()
			close(t.rested)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// isKnown reports whether the ledger has an email, so that it is not sent again.
func isKnown(ctx context.Context, s *stack.Stack, who Operator, id string) (bool, error) {
	_, err := ask(ctx, s, who, id)
	if errors.Is(err, errUnknown) {
		return false, nil
	}
	return err == nil, err
}

// errUnknown means that there is no email with an id.
var errUnknown = errors.New("there is no such email")

func ask(ctx context.Context, s *stack.Stack, who Operator, id string) (standing, error) {
	ctx, cancel := context.WithTimeout(ctx, asking)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.OperatorURL()+"/api/v1/emails/"+url.PathEscape(id), nil)
	if err != nil {
		return standing{}, fmt.Errorf("ask for %s: %w", id, err)
	}

	request.Header.Set("Authorization", "Bearer "+who.token)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return standing{}, fmt.Errorf("ask for %s: %w", id, err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode == http.StatusNotFound {
		return standing{}, fmt.Errorf("ask for %s: %w", id, errUnknown)
	}
	if answer.StatusCode != http.StatusOK {
		return standing{}, fmt.Errorf("ask for %s: the operator API answers %d", id, answer.StatusCode)
	}

	var now standing
	if err := json.NewDecoder(io.LimitReader(answer.Body, 1<<20)).Decode(&now); err != nil {
		return standing{}, fmt.Errorf("ask for %s: %w", id, err)
	}
	return now, nil
}
