package config

import (
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
)

// Env is what the environment configures: addresses, credentials, paths. The defaults are
// the ports of development, all on loopback. Credentials have no defaults.
type Env struct {
	ConfigPath     string // MAILROOM_CONFIG, default deploy/dev/mailroom.yaml
	Listen         string // MAILROOM_LISTEN, else ":"+PORT, default 127.0.0.1:8080
	OperatorListen string // MAILROOM_OPERATOR_LISTEN, default 127.0.0.1:8081
	MetricsListen  string // MAILROOM_METRICS_LISTEN, default 127.0.0.1:9464, of the worker alone 127.0.0.1:9465
	// WorkerMetricsListen is MAILROOM_WORKER_METRICS_LISTEN, where the worker serves its
	// metrics when it shares a process with the ingress; default 127.0.0.1:9465.
	WorkerMetricsListen string
	DatabaseURL         Secret // DATABASE_URL
	S3Endpoint          string // S3_ENDPOINT, an http or https URL, default http://127.0.0.1:9000
	S3Public            string // S3_PUBLIC_ENDPOINT, what presigned links are made for, default S3_ENDPOINT
	S3Region            string // S3_REGION, default us-east-1
	S3AccessKey         Secret // S3_ACCESS_KEY
	S3SecretKey         Secret // S3_SECRET_KEY
	RawBucket           string // MAILROOM_RAW_BUCKET, default mailroom-raw: payloads and raw mail
	AttachmentsBucket   string // MAILROOM_ATTACHMENTS_BUCKET, default mailroom-attachments
	ClamdAddress        string // CLAMD_ADDRESS, host:port or a socket's path; empty: the built-in scanner
	SpoolDir            string // MAILROOM_SPOOL_DIR, default os.TempDir()
	LogLevel            string // MAILROOM_LOG_LEVEL, default info
	// Handover is MAILROOM_HANDOVER, the path of a Unix socket at which one process hands its
	// listening sockets to the one that replaces it; empty: it does not.
	Handover string
	// Temporal is configured by its own TEMPORAL_* variables (contrib/envconfig).
}

// Variable is one variable of the environment that ReadEnv reads.
type Variable struct {
	Name     string
	Required bool // ReadEnv fails without it
	Secret   bool // its value must not be shown
}

// Variables lists what ReadEnv reads, for deployments to check themselves against.
func Variables() []Variable {
	return []Variable{
		{Name: "MAILROOM_CONFIG"},
		{Name: "MAILROOM_LISTEN"},
		{Name: "PORT"},
		{Name: "MAILROOM_OPERATOR_LISTEN"},
		{Name: "MAILROOM_METRICS_LISTEN"},
		{Name: "MAILROOM_WORKER_METRICS_LISTEN"},
		{Name: "DATABASE_URL", Required: true, Secret: true},
		{Name: "S3_ENDPOINT"},
		{Name: "S3_PUBLIC_ENDPOINT"},
		{Name: "S3_REGION"},
		{Name: "S3_ACCESS_KEY", Required: true, Secret: true},
		{Name: "S3_SECRET_KEY", Required: true, Secret: true},
		{Name: "MAILROOM_RAW_BUCKET"},
		{Name: "MAILROOM_ATTACHMENTS_BUCKET"},
		{Name: "CLAMD_ADDRESS"},
		{Name: "MAILROOM_SPOOL_DIR"},
		{Name: "MAILROOM_LOG_LEVEL"},
		{Name: "MAILROOM_HANDOVER"},
	}
}

// The defaults of where metrics are served.
const (
	ingressMetrics = "127.0.0.1:9464"
	workerMetrics  = "127.0.0.1:9465"
)

// ReadEnv reads the environment of a process that runs as role through getenv, an
// empty variable counting as absent. The error is an *InvalidEnv, which shows no value of a
// secret; the result then has the variables without a mistake.
func ReadEnv(getenv func(string) string, role Role) (Env, error) {
	metricsListen := ingressMetrics
	if role == RoleWorker {
		metricsListen = workerMetrics
	}

	r := envReader{getenv: getenv}
	e := Env{
		ConfigPath:          r.text("MAILROOM_CONFIG", "deploy/dev/mailroom.yaml"),
		Listen:              r.listen("MAILROOM_LISTEN", r.port("PORT", "127.0.0.1:8080")),
		OperatorListen:      r.listen("MAILROOM_OPERATOR_LISTEN", "127.0.0.1:8081"),
		MetricsListen:       r.listen("MAILROOM_METRICS_LISTEN", metricsListen),
		WorkerMetricsListen: r.listen("MAILROOM_WORKER_METRICS_LISTEN", workerMetrics),
		DatabaseURL:         r.secret("DATABASE_URL"),
		S3Endpoint:          r.endpoint("S3_ENDPOINT", "http://127.0.0.1:9000"),
		S3Region:            r.text("S3_REGION", "us-east-1"),
		S3AccessKey:         r.secret("S3_ACCESS_KEY"),
		S3SecretKey:         r.secret("S3_SECRET_KEY"),
		RawBucket:           r.text("MAILROOM_RAW_BUCKET", "mailroom-raw"),
		AttachmentsBucket:   r.text("MAILROOM_ATTACHMENTS_BUCKET", "mailroom-attachments"),
		ClamdAddress:        r.text("CLAMD_ADDRESS", ""),
		SpoolDir:            r.text("MAILROOM_SPOOL_DIR", os.TempDir()),
		LogLevel:            r.level("MAILROOM_LOG_LEVEL", "info"),
		Handover:            r.text("MAILROOM_HANDOVER", ""),
	}
	e.S3Public = r.endpoint("S3_PUBLIC_ENDPOINT", e.S3Endpoint)
	if e.RawBucket == e.AttachmentsBucket {
		r.wrong("MAILROOM_ATTACHMENTS_BUCKET", "must differ from MAILROOM_RAW_BUCKET")
	}
	if len(r.mistakes) > 0 {
		return e, &InvalidEnv{r.mistakes}
	}
	return e, nil
}

// InvalidEnv is the error of ReadEnv, with every mistake.
type InvalidEnv struct{ Mistakes []string }

// Error lists every mistake on a line of its own.
func (e *InvalidEnv) Error() string {
	return "environment is not valid\n  " + strings.Join(e.Mistakes, "\n  ")
}

// envReader collects the mistakes of one environment.
type envReader struct {
	getenv   func(string) string
	mistakes []string
}

func (r *envReader) wrong(name, text string) {
	r.mistakes = append(r.mistakes, name+" "+text)
}

func (r *envReader) text(name, fallback string) string {
	if v := r.getenv(name); v != "" {
		return v
	}
	return fallback
}

func (r *envReader) secret(name string) Secret {
	v := r.getenv(name)
	if v == "" {
		r.wrong(name, "is not set")
	}
	return NewSecret(v)
}

func (r *envReader) listen(name, fallback string) string {
	v := r.text(name, fallback)
	_, port, err := net.SplitHostPort(v)
	if err != nil || !validPort(port) {
		r.wrong(name, "must be an address to listen on, such as 127.0.0.1:8080 or :8080")
	}
	return v
}

// port returns the address for a variable that holds only a port number.
func (r *envReader) port(name, fallback string) string {
	v := r.getenv(name)
	if v == "" {
		return fallback
	}
	if !validPort(v) {
		r.wrong(name, "must be a port from 0 to 65535")
		return fallback
	}
	return ":" + v
}

func validPort(text string) bool {
	_, err := strconv.ParseUint(text, 10, 16)
	return err == nil
}

func (r *envReader) endpoint(name, fallback string) string {
	v := r.text(name, fallback)
	u, err := url.Parse(v)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" ||
		u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		r.wrong(name, "must be an http or https URL of a host alone, such as http://127.0.0.1:9000")
	}
	return strings.TrimSuffix(v, "/")
}

func (r *envReader) level(name, fallback string) string {
	v := strings.ToLower(r.text(name, fallback))
	var level slog.Level
	if err := level.UnmarshalText([]byte(v)); err != nil {
		r.wrong(name, fmt.Sprintf("must be debug, info, warn or error, not %q", v))
	}
	return v
}
