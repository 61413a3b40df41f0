// Package tour shows a running stack to a newcomer: it sends sample emails, prints their states
// and where to look, and follows the logs.
//
// Invariants: it changes nothing but by sending mail; it prints no secret other than those that
// development publishes.
//
// Run is in this file, the emails in samples.go; `make dev` calls it through deploy/dev/command.
package tour

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
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
		{"MinIO console", s.S3Console() + "   user: " + vars.Get("S3_ACCESS_KEY") + "   password: " + secret(vars, "S3_SECRET_KEY")},
		{"metrics", s.MetricsURL(stack.Ingress) + "   " + s.MetricsURL(stack.Worker)},
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

// Run sends the samples, prints their states and what to do next, and follows the logs until ctx
// ends. It prints errors itself.
func Run(ctx context.Context, s *stack.Stack, who Operator, out io.Writer) {
	sent := samples(time.Now())
	follower := follow(s)
	if err := show(ctx, s, who, sent, out); err != nil && ctx.Err() == nil {
		_, _ = fmt.Fprintln(out, "The samples did not go through: "+process.OneLine(err))
	}
	if ctx.Err() != nil {
		return
	}
	_, _ = fmt.Fprintln(out, "\nLogs (Ctrl-C stops everything):")
	follower.run(ctx, out)
}

func show(ctx context.Context, s *stack.Stack, who Operator, sent []sample, out io.Writer) error {
	_, _ = fmt.Fprintf(out, "\nThree sample emails:\n  %-10s %-28s %-34s %s\n", "time", "email", "event id", "state")
	for _, x := range sent {
		if err := x.send(ctx, s); err != nil {
			return err
		}
	}
	states, err := watch(ctx, s, who, sent, out)
	if err != nil {
		return err
	}
	for _, x := range sent {
		if states[x.id].Reason == contract.Infected {
			whatNext(out, s, who, x)
		}
	}
	return nil
}

// whatNext prints how an operator decides about a held email.
func whatNext(out io.Writer, s *stack.Stack, who Operator, held sample) {
	workflow := contract.WorkflowID(contract.FirstSource, held.id)
	_, _ = fmt.Fprintf(out, `
%s is held. See why in the Temporal Web UI:
  %s/namespaces/default/workflows/%s
Approve it there (Send a Signal: approve), or with either of:
  .dev/bin/temporal workflow signal --address %s --workflow-id %s --name approve --input '{"actor":"you","note":"checked"}'
  %s.dev/bin/mailctl emails approve %s --note "checked"
`, held.id, s.TemporalUI(), url.PathEscape(workflow), s.Infra().Temporal, workflow, who.prefix(), held.id)
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

// watch prints a row for every change of state until all samples rest, or patience is over.
func watch(ctx context.Context, s *stack.Stack, who Operator, sent []sample, out io.Writer) (map[string]standing, error) {
	console := process.NewConsole(out)
	defer console.Reassure(ctx)()
	defer console.Await("the samples")()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(statePoll)
	defer tick.Stop()

	known := map[string]standing{}
	var last error
	for {
		moving := 0
		for _, x := range sent {
			now, err := ask(ctx, s, who, x.id)
			if err != nil {
				last = err
			} else if now != known[x.id] {
				known[x.id] = now
				console.Say("  %-10s %-28s %-34s %s", time.Now().Format(time.TimeOnly), x.what, x.id, now)
			}
			if !known[x.id].rests() {
				moving++
			}
		}

		if moving == 0 {
			return known, nil
		}
		select {
		case <-ctx.Done():
			return known, errors.Join(fmt.Errorf("%d of them did not come to rest within %s", moving, patience), last)
		case <-tick.C:
		}
	}
}

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
	if answer.StatusCode != http.StatusOK {
		return standing{}, fmt.Errorf("ask for %s: the operator API answers %d", id, answer.StatusCode)
	}

	var now standing
	if err := json.NewDecoder(io.LimitReader(answer.Body, 1<<20)).Decode(&now); err != nil {
		return standing{}, fmt.Errorf("ask for %s: %w", id, err)
	}
	return now, nil
}
