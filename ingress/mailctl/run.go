package mailctl

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

const description = `Send and check webhooks, read emails and decide about them.

Environment:
  MAILROOM_URL     where send posts to      (default http://127.0.0.1:8080/webhooks/email)
  WEBHOOK_SECRET   what send, sign and verify use, unless --secret-file is given
  MAILROOM_API     the operator API         (default http://127.0.0.1:8081)
  MAILROOM_TOKEN   the bearer token for it, unless --token-file is given; for loopback hosts
                   OPERATOR_TOKEN serves as well

Without a secret or token the values of development are used, for loopback hosts only. A .env
file is not read: set -a; . ./.env; set +a

Exit codes: 0 done, 1 refused or failed, 2 usage.`

// options are the flags of every command.
type options struct {
	Output     string `short:"o" enum:"text,json" default:"text" help:"How to print: text or json."`
	API        string `name:"api" placeholder:"URL" default:"${api}" help:"The operator API."`
	URL        string `name:"url" placeholder:"URL" default:"${url}" help:"The URL of the webhook."`
	SecretFile string `placeholder:"FILE" help:"Read the webhook secret from a file."`
	TokenFile  string `placeholder:"FILE" help:"Read the API token from a file."`
}

type commands struct {
	options

	Send         sendCommand          `cmd:"" help:"Sign emails and post them to the webhook."`
	Sign         signCommand          `cmd:"" help:"Print the two signature headers for the bytes of a file."`
	Verify       verifyCommand        `cmd:"" help:"Check a signature over the bytes of a file."`
	MIME         mimeCommand          `cmd:"" name:"mime" help:"Parse an .eml file and print the result as JSON."`
	Emails       emailsCommands       `cmd:"" help:"List and read emails, and decide about them."`
	Replay       replayCommands       `cmd:"" help:"Run emails again, and control such replays."`
	Audit        auditCommands        `cmd:"" help:"Check the audit chain; export one email's chain of custody."`
	Sources      sourcesCommands      `cmd:"" help:"List webhook sources and failed verifications."`
	Tokens       tokensCommands       `cmd:"" help:"Create, list and revoke bearer tokens of the operator API."`
	Overview     overviewCommand      `cmd:"" help:"Show alerts, and how many emails are in each state."`
	Destinations destinationsCommands `cmd:"" help:"Show the state of destinations; pause and resume them."`
	Routes       routesCommands       `cmd:"" help:"List the rules; try them on a mail."`
	Config       configCommands       `cmd:"" help:"Check a configuration file; print its schema."`
	Completion   completionCommand    `cmd:"" help:"Print a script that completes mailctl in a shell."`
	Version      versionCommand       `cmd:"" help:"Print version, commit with its date, and Go version."`
}

// session holds the flags, streams and clients of one call.
type session struct {
	options

	given  given
	ctx    context.Context //nolint:containedctx // the session is one call of Run
	stdin  io.Reader
	stdout io.Writer
	getenv func(string) string
	now    func() time.Time
	client *http.Client
}

// usageError is a mistake in the command line.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return usageError{fmt.Sprintf(format, args...)} }

// exited passes the exit code out of kong, which ends --help by calling Exit.
type exited int

// Run runs one command and returns its exit code. It uses only the given streams, the
// files that the arguments name, and the network.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, getenv func(string) string) (code int) {
	defer func() {
		if p := recover(); p != nil {
			e, ok := p.(exited)
			if !ok {
				panic(p)
			}
			code = int(e)
			if len(args) == 0 { // help was shown, and nothing was asked for
				code = exitUsage
			}
		}
	}()

	var cmd commands
	parser, err := kong.New(&cmd,
		kong.Name("mailctl"), kong.Description(description),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { panic(exited(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.Vars{
			"api": fallback(getenv("MAILROOM_API"), "http://127.0.0.1:8081"),
			"url": fallback(getenv("MAILROOM_URL"), "http://127.0.0.1:8080/webhooks/email"),
		},
	)
	if err != nil {
		return report(stderr, fmt.Errorf("command line: %w", err))
	}

	if len(args) > 0 && args[0] == completeCommand {
		complete(stdout, parser.Model.Node, args[1:])
		return exitDone
	}

	words := args
	if len(words) == 0 {
		words = []string{"--help"}
	}

	parsed, err := parser.Parse(words)
	if err != nil {
		return report(stderr, usageError{err.Error() + " (see " + helpFor(err) + ")"})
	}

	s := &session{
		options: cmd.options, ctx: ctx, stdin: stdin, stdout: stdout, getenv: getenv, now: time.Now,
		client: newClient(), given: givenFlags(parsed),
	}
	if err := s.given.check(parsed.Command()); err != nil {
		return report(stderr, err)
	}

	return report(stderr, parsed.Run(s))
}

// helpFor returns the command whose help explains err, as far as one was recognised.
func helpFor(err error) string {
	var parse *kong.ParseError
	if errors.As(err, &parse) && parse.Context != nil && parse.Context.Selected() != nil {
		return parse.Context.Selected().FullPath() + " --help"
	}
	return "mailctl --help"
}

// report writes err as one line and returns the exit code.
func report(stderr io.Writer, err error) int {
	if err == nil {
		return exitDone
	}
	_, _ = fmt.Fprintf(stderr, "mailctl: %s\n", visible(err.Error()))
	var usage usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}

// newClient returns a client that follows no redirect, because a token or a signed
// body must not reach another host.
func newClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = 30 * time.Second
	transport.MaxIdleConnsPerHost = maxParallel
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// printJSON writes v as one line.
func (s *session) printJSON(v any) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return s.printf("%s", harmless(text.String()))
}

func (s *session) printf(format string, args ...any) error {
	if _, err := fmt.Fprintf(s.stdout, format, args...); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// endPage writes the table of one page, and how to get the next one if there is one.
func (s *session) endPage(table *tabwriter.Writer, next string) error {
	if err := table.Flush(); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if next == "" {
		return nil
	}
	return s.printf("\nMore: --cursor %s\n", visible(next))
}

func (s *session) json() bool { return s.Output == "json" }

// read returns the content of a file; "-" is stdin.
func (s *session) read(name string) ([]byte, error) {
	if name == "-" {
		content, err := io.ReadAll(s.stdin)
		if err != nil {
			return nil, fmt.Errorf("read stdin: %w", err)
		}
		return content, nil
	}
	content, err := os.ReadFile(name) //nolint:gosec // the file that the caller names
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	return content, nil
}

// loopback reports whether the host of a URL is this machine, by its name alone.
func loopback(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	if u.Hostname() == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return err == nil && ip.IsLoopback()
}

func fallback(text, other string) string {
	if text != "" {
		return text
	}
	return other
}
