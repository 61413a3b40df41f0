package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"go.temporal.io/sdk/client"

	"mailroom/deploy/dev/process"
	"mailroom/deploy/dev/stack"
	"mailroom/shared/config"
	"mailroom/shared/seal"
	"mailroom/shared/temporal"
)

// options are the flags.
type options struct {
	root, out, part                     string
	rounds, emails, burst, held, ledger int
	ingressEmails                       int
}

// What -part may name.
const (
	partIngress   = "ingress"   // the ingress by itself
	partEmails    = "emails"    // emails end to end
	partOperators = "operators" // what operators ask and decide
)

// The sizes of what is sent, in bytes.
const (
	smallMail      = 4 << 10
	attachmentSize = 30 << 10
	largeMail      = 10 << 20
	largeAtOnce    = 16
	steadyRate     = 50
	steadySeconds  = 20
)

// bench is one run.
type bench struct {
	options
	out     io.Writer
	servers *stack.Stack
	mail    *stack.Stack
	base    *baseline
	db      *pgx.Conn
	sender  *sender
	sent    int64
	config  string

	operatorToken string
	// temporal can be stopped and started.
	temporal *temporalServer
	closers  []func()
}

func run(ctx context.Context, o options, out io.Writer) error {
	b := &bench{options: o, out: out}
	defer func() {
		for _, f := range slices.Backward(b.closers) {
			f()
		}
	}()

	if err := b.start(ctx); err != nil {
		return err
	}
	r, err := b.measure(ctx)
	if err != nil {
		return err
	}

	r.print(out)
	encoded, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the report: %w", err)
	}
	if err := os.WriteFile(o.out, append(encoded, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}

	if r.Audit.Delivered != r.Audit.Accepted || r.Audit.Effects != r.Audit.Accepted {
		return fmt.Errorf("not everything was delivered exactly once: %+v", r.Audit)
	}
	return nil
}

// start brings up the servers, then Mailroom.
func (b *bench) start(ctx context.Context) error {
	root, err := filepath.Abs(b.root)
	if err != nil {
		return err
	}
	dev := filepath.Join(root, ".dev")
	if err := os.MkdirAll(dev, 0o755); err != nil { //nolint:gosec // postgres' own user must pass
		return err
	}
	dir, err := os.MkdirTemp(dev, "bench-")
	if err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // postgres' own user must pass
		return err
	}
	b.closers = append(b.closers, func() { _ = os.RemoveAll(dir) })

	ports, err := stack.FreePorts()
	if err != nil {
		return err
	}
	console := process.NewConsole(b.out)
	vars, err := stack.Resolve(os.Environ(), "", stack.DevDefaults())
	if err != nil {
		return err
	}

	tools := filepath.Join(dev, "tools")
	shared := stack.Options{
		Dir: filepath.Join(dir, "servers"), Bin: filepath.Join(dir, "bin"), Root: root, Tools: tools, Ports: ports, Vars: vars, Console: console,
		Services: []string{stack.Postgres, stack.MinIO, stack.Clamd},
	}
	if b.servers, err = b.up(ctx, shared); err != nil {
		return err
	}

	server, err := startTemporal(ctx, stack.Tools{Root: root, Dir: tools, Console: console}, dir, b.servers.Infra())
	if err != nil {
		return err
	}
	b.temporal = server
	b.closers = append(b.closers, server.stop)
	return b.startMail(ctx, shared, dir, server.address)
}

func (b *bench) up(ctx context.Context, o stack.Options) (*stack.Stack, error) {
	s, err := stack.New(o)
	if err != nil {
		return nil, err
	}
	b.closers = append(b.closers, func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_, _ = s.Down(ctx)
	})
	return s, s.Up(ctx)
}

// startMail starts ingress, worker and sink in their own namespace, and the worker of the
// baselines in the same.
func (b *bench) startMail(ctx context.Context, o stack.Options, dir, address string) error {
	infra := b.servers.Infra()
	infra.Temporal = address
	infra, err := stack.Isolate(ctx, infra, "bench")
	if err != nil {
		return err
	}
	o.Dir, o.Services, o.Infra = filepath.Join(dir, "mailroom"), stack.Programs(), infra
	o.Config = filepath.Join(dir, "mailroom.yaml")
	o.Vars = o.Vars.With(stack.Vars{"SINK_BODIES": "0", "SINK_KEYS": "1000000"})
	b.config = o.Config
	if err := os.WriteFile(o.Config, fmt.Appendf(nil, configuration, o.Ports.Sink), 0o600); err != nil {
		return err
	}
	if b.mail, err = b.up(ctx, o); err != nil {
		return err
	}

	if b.db, err = pgx.Connect(ctx, infra.DatabaseURL); err != nil {
		return fmt.Errorf("connect to the ledger: %w", err)
	}
	keys, err := seal.New(config.Encryption{Keys: []config.EncryptionKey{
		{ID: "k1", Key: config.NewSecret(o.Vars.Get("MAILROOM_ENCRYPTION_KEY"))},
	}})
	if err != nil {
		return err
	}

	options := client.Options{
		HostPort: address, Namespace: infra.TemporalNamespace, Logger: silent{},
		// As in our own programs, so that nothing but the work is compared.
		ConnectionOptions: client.ConnectionOptions{GrpcCompression: &client.GrpcCompressionNone{}},
	}
	temporal.Protect(&options, keys)
	tc, err := client.DialContext(ctx, options)
	if err != nil {
		return fmt.Errorf("connect to Temporal: %w", err)
	}

	if b.base, err = startBaseline(tc); err != nil {
		return err
	}
	b.closers = append(b.closers, func() { b.base.w.Stop(); tc.Close() })
	b.sender, b.operatorToken = newSender(b.mail.IngressURL(), o.Vars.Get("WEBHOOK_SECRET")), o.Vars.Get("OPERATOR_TOKEN")
	return nil
}

// configuration is one source, one route, one destination that answers at once.
const configuration = `
sources: [{name: mailparse, path: /webhooks/email, profile: mailparse, schemes: [timestamp-hmac], secrets: [{ref: "env:WEBHOOK_SECRET"}], tenant: default}]
tenants: [{name: default, domains: [yourapp.example]}]
destinations: [{name: ticketing, url: "http://127.0.0.1:%d/tickets", secret: {ref: "env:TICKETING_SECRET"}, allow_private: true, max_in_flight: 64}]
encryption: {keys: [{id: k1, ref: "env:MAILROOM_ENCRYPTION_KEY"}]}
routes:
  - {name: support, when: {recipient: "support@*"}, to: [ticketing]}
  - {name: careful, when: {recipient: "careful@*"}, to: [ticketing], hold: true}
scanner: {max_signature_age: off}
operators: [{name: bench, role: admin, token: {ref: "env:OPERATOR_TOKEN"}}]
`

// measure runs the chosen parts.
func (b *bench) measure(ctx context.Context) (*report, error) {
	r := &report{Memory: map[string]float64{}}
	var err error

	if b.does(partIngress) {
		if r.Ingress, err = (&ingressPart{bench: b}).run(ctx); err != nil {
			return nil, err
		}
	}
	if b.does(partEmails) {
		if err := (&emailPart{b}).run(ctx, r); err != nil {
			return nil, err
		}
	}
	if b.does(partOperators) {
		if r.Operators, err = (&operatorPart{b}).run(ctx); err != nil {
			return nil, err
		}
	}

	r.Audit, err = b.audit(ctx)
	return r, err
}

// does reports whether a part is chosen. The part of operators needs a full ledger, so that
// "all" leaves it out.
func (b *bench) does(part string) bool {
	return b.part == part || b.part == "all" && part != partOperators
}

// emailPart measures emails end to end.
type emailPart struct{ *bench }

// run measures emails end to end.
func (p *emailPart) run(ctx context.Context, r *report) error {
	if err := p.rates(ctx, r); err != nil {
		return err
	}

	p.say("a steady stream of %d/s for %d s", steadyRate, steadySeconds)
	var err error
	r.Steady, err = p.sender.open(ctx, steadyRate, p.sender.bodies(steadyRate*steadySeconds, smallMail, 0))
	if err != nil {
		return err
	}
	if err := p.drained(ctx, steadyRate*steadySeconds); err != nil {
		return err
	}

	p.say("a burst of %d", p.burst)
	if r.Burst, err = p.sender.closed(ctx, inFlight, p.sender.bodies(p.burst, smallMail, 0)); err != nil {
		return err
	}
	if err := p.drained(ctx, p.burst); err != nil {
		return err
	}

	p.memory(r, "")
	return p.large(ctx, r)
}

// rates measures in turn what is compared.
func (p *emailPart) rates(ctx context.Context, r *report) error {
	if _, err := p.base.rate(ctx, "Nothing", 100); err != nil { // the first ones are slower and not measured
		return err
	}
	if _, err := p.endToEnd(ctx, 100, 0); err != nil {
		return err
	}

	var nothing, five, small, attachment []float64
	for round := range p.rounds {
		p.say("round %d of %d", round+1, p.rounds)
		for _, m := range []struct {
			into *[]float64
			rate func() (float64, error)
		}{
			{&nothing, func() (float64, error) { return p.base.rate(ctx, "Nothing", p.emails) }},
			{&small, func() (float64, error) { return p.endToEnd(ctx, p.emails, 0) }},
			{&five, func() (float64, error) { return p.base.rate(ctx, "Five", p.emails/3) }},
			{&attachment, func() (float64, error) { return p.endToEnd(ctx, p.emails, attachmentSize) }},
		} {
			rate, err := m.rate()
			if err != nil {
				return err
			}
			*m.into = append(*m.into, rate)
		}
		p.say("  nothing %.0f/s, five activities %.0f/s, 4 KB %.0f/s, 30 KB attachment %.0f/s",
			nothing[round], five[round], small[round], attachment[round])
	}

	r.Nothing, r.Five, r.Small, r.Attachment = median(nothing), median(five), median(small), median(attachment)
	r.SmallOfNothing, r.AttachmentOfNothing = r.Small/r.Nothing, r.Attachment/r.Nothing
	r.SmallOfFive, r.AttachmentOfFive = r.Small/r.Five, r.Attachment/r.Five
	return nil
}

// endToEnd sends n emails and returns how many per second are closed.
func (b *bench) endToEnd(ctx context.Context, n, attachment int) (float64, error) {
	bodies := b.sender.bodies(n, smallMail, attachment)
	began := time.Now()
	if _, err := b.sender.closed(ctx, inFlight, bodies); err != nil {
		return 0, err
	}
	err := b.drained(ctx, n)
	return float64(n) / time.Since(began).Seconds(), err
}

// drained waits until all emails sent so far, of which n are new, are closed in the ledger.
func (b *bench) drained(ctx context.Context, n int) error {
	b.sent += int64(n)
	return poll(ctx, 15*time.Minute, func() (bool, error) {
		var open bool
		// The newest rows are enough; counting them all would be work on the same machine.
		err := b.db.QueryRow(ctx, `SELECT exists (SELECT FROM emails WHERE id > (SELECT max(id) FROM emails) - $1 AND closed_at IS NULL)
			OR exists (SELECT FROM inbox)`, int64(n)).Scan(&open)
		return !open, err
	})
}

// large processes sixteen emails of 10 MB each at once, in fresh processes.
func (p *emailPart) large(ctx context.Context, r *report) error {
	p.say("%d emails of %d MiB at once", largeAtOnce, largeMail>>20)
	for _, program := range []string{stack.Worker, stack.Ingress} {
		if err := p.mail.Restart(ctx, program); err != nil {
			return err
		}
	}

	if _, err := p.sender.closed(ctx, largeAtOnce, p.sender.bodies(largeAtOnce, smallMail, largeMail)); err != nil {
		return err
	}
	if err := p.drained(ctx, largeAtOnce); err != nil {
		return err
	}
	p.memory(r, "_16x10MB")
	return nil
}

func (b *bench) audit(ctx context.Context) (audit, error) {
	a := audit{Accepted: b.sent}
	err := b.db.QueryRow(ctx, "SELECT count(*) FROM emails WHERE state = 'delivered' AND event_id LIKE 'bench%'").Scan(&a.Delivered)
	if err != nil {
		return a, fmt.Errorf("audit: %w", err)
	}
	counts, err := b.effects(ctx)
	a.Effects, a.Repeats = counts.Effects, counts.Repeats
	return a, err
}

func (b *bench) say(format string, args ...any) { fmt.Fprintf(b.out, format+"\n", args...) }

func median(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	if len(sorted) == 0 {
		return 0
	}
	return sorted[len(sorted)/2]
}
