package stack

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"mailroom/deploy/dev/process"
	"mailroom/shared/contract"
)

// temporalService is Temporal, in the same process as its Web UI where the stack has one.
func temporalService(s *Stack) process.Service {
	p := s.opt.Ports
	dir := filepath.Join(s.opt.Dir, "temporal")
	args := []string{
		"temporal", "--db", filepath.Join(dir, "temporal.db"), "--ip", "127.0.0.1", "--port", fmt.Sprint(p.Temporal), "--log-level", "warn",
	}
	if s.opt.Throwaway {
		args = append(args, "--synchronous", "off")
	}
	for _, attribute := range SearchAttributes() {
		args = append(args, "--search-attribute", attribute.Name+"="+attribute.Type.String())
	}
	ports := []int{p.Temporal}
	if s.opt.WebUI {
		ports = append(ports, p.TemporalUI)
		args = append(args, "--ui-ip", s.opt.Listen, "--ui-port", fmt.Sprint(p.TemporalUI), "--codec-endpoint", s.OperatorURL()+"/codec")
	}

	return process.Service{
		Name: Temporal, Ports: ports, Where: process.Loopback(p.Temporal),
		Patience: time.Minute, Stop: syscall.SIGTERM, Grace: 15 * time.Second,
		Prepare: func(context.Context) error { return os.MkdirAll(dir, 0o750) },
		Command: func() (process.Command, error) {
			return process.Command{Path: filepath.Join(s.opt.Bin, Devstack), Args: args, Env: s.opt.Vars.Except("TEMPORAL_").List(), Dir: dir}, nil
		},
		Ready: func(ctx context.Context) error {
			if s.opt.WebUI {
				if err := getOK(ctx, s.TemporalUI()+"/healthz"); err != nil {
					return err
				}
			}
			return withTemporal(process.Loopback(p.Temporal), func(c temporalClient) error {
				return c.searchable(ctx, defaultNamespace)
			})
		},
	}
}

// clamdPlaces are where clamd is when it is not on PATH.
var clamdPlaces = [...]string{
	"/usr/sbin/clamd", "/usr/local/sbin/clamd", "/usr/local/clamav/sbin/clamd",
	"/opt/homebrew/opt/clamav/sbin/clamd", "/usr/local/opt/clamav/sbin/clamd",
}

// systemSignatures is the folder to which freshclam downloads.
const systemSignatures = "/var/lib/clamav"

// FindClamd returns the path of clamd, "" where it is not installed.
func FindClamd() string {
	if found, err := exec.LookPath("clamd"); err == nil {
		return found
	}
	for _, place := range clamdPlaces {
		if executable(place) {
			return place
		}
	}
	return ""
}

// HasSignatures reports whether freshclam has downloaded any signatures here.
func HasSignatures() bool {
	for _, pattern := range []string{"*.cvd", "*.cld"} {
		if found, _ := filepath.Glob(filepath.Join(systemSignatures, pattern)); len(found) > 0 {
			return true
		}
	}
	return false
}

func clamdService(s *Stack) process.Service {
	port := s.opt.Ports.Clamd
	dir := filepath.Join(s.opt.Dir, "clamav")
	config := filepath.Join(dir, "clamd.conf")
	return process.Service{
		Name: Clamd, Ports: []int{port}, Where: process.Loopback(port),
		// A whole set of signatures takes a minute to load on a slow machine.
		Patience: 3 * time.Minute, Stop: syscall.SIGTERM, Grace: 15 * time.Second,
		Prepare: func(context.Context) error {
			folder, err := signatures(s, dir)
			if err != nil {
				return err
			}
			return os.WriteFile(config, []byte(clamdConfig(dir, folder, port)), 0o600)
		},
		Command: func() (process.Command, error) {
			return process.Command{Path: FindClamd(), Args: []string{"--foreground", "--config-file=" + config}, Env: s.opt.Vars.List(), Dir: dir}, nil
		},
		Ready: func(ctx context.Context) error { return pingClamd(ctx, process.Loopback(port)) },
	}
}

// signatures returns the folder of the machine's own signatures, else one that knows the
// EICAR test file alone. Tests always use the second: it is the same on every machine and
// loads at once.
func signatures(s *Stack, dir string) (string, error) {
	if !s.opt.Throwaway {
		if HasSignatures() {
			return systemSignatures, nil
		}
		s.opt.Console.Say("clamd       has no signatures in %s and finds the EICAR test file alone: run freshclam for real ones", systemSignatures)
	}
	own := filepath.Join(dir, "db")
	if err := os.MkdirAll(own, 0o750); err != nil {
		return "", err
	}
	line := "Eicar-Test-Signature:0:*:" + hex.EncodeToString([]byte(EICAR())) + "\n"
	return own, os.WriteFile(filepath.Join(own, "eicar.ndb"), []byte(line), 0o600)
}

// EICAR returns the harmless file that every scanner reports. It is put together here so
// that no scanner reports the source.
func EICAR() string {
	return strings.Join([]string{`X5O!P%@AP[4\PZX54(P^)7CC)7}$`, `EICAR-STANDARD-ANTIVIRUS-TEST-FILE`, `!$H+H*`}, "")
}

// clamdConfig returns a clamd.conf(5). What is above a limit of clamd is reported, not passed
// as clean, and the limits are above those of Mailroom.
func clamdConfig(dir, signatures string, port int) string {
	return strings.Join([]string{
		"Foreground yes",
		"LogFile " + filepath.Join(dir, "clamd.log"),
		"LogFileMaxSize 10M",
		"LogTime yes",
		"DatabaseDirectory " + signatures,
		"TemporaryDirectory " + dir,
		"TCPAddr 127.0.0.1",
		fmt.Sprintf("TCPSocket %d", port),
		"MaxThreads 8",
		"StreamMaxLength 64M",
		"MaxFileSize 64M",
		"MaxScanSize 256M",
		"AlertExceedsMax yes",
		"AlertEncrypted yes",
		"PhishingScanURLs no",
		"",
	}, "\n")
}

func pingClamd(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if deadline, set := ctx.Deadline(); set {
		_ = conn.SetDeadline(deadline)
	}

	if _, err := io.WriteString(conn, "zPING\x00"); err != nil {
		return err
	}
	answer, err := io.ReadAll(io.LimitReader(conn, 64))
	if err != nil {
		return err
	}
	if string(answer) != "PONG\x00" {
		return errors.New("clamd does not answer PING")
	}
	return nil
}

// getOK requests url and returns an error with the text of the answer unless it is 200.
func getOK(ctx context.Context, url string) error {
	status, text, err := get(ctx, url)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%s answers %d: %s", url, status, text)
	}
	return err
}

// get returns the status and the beginning of the answer to a request.
func get(ctx context.Context, url string) (status int, text string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = answer.Body.Close() }()
	read, _ := io.ReadAll(io.LimitReader(answer.Body, 512))
	return answer.StatusCode, strings.TrimSpace(string(read)), nil
}

// SearchAttributes returns those that the workflows set.
func SearchAttributes() []SearchAttribute {
	var attributes []SearchAttribute
	for _, name := range contract.SearchAttributes {
		attribute := SearchAttribute{Name: name, Type: keyword}
		if name == contract.AttrDestinations {
			attribute.Type = keywordList
		}
		attributes = append(attributes, attribute)
	}
	return attributes
}
