package config

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func of(env map[string]string) func(string) string {
	return func(name string) string { return env[name] }
}

func credentials(extra map[string]string) map[string]string {
	env := map[string]string{"DATABASE_URL": "postgres://u:hunter2@h/d", "S3_ACCESS_KEY": "access", "S3_SECRET_KEY": "hunter2"}
	for k, v := range extra {
		env[k] = v
	}
	return env
}

func TestReadEnvDefaults(t *testing.T) {
	t.Parallel()
	e, err := ReadEnv(of(credentials(nil)), RoleWorker)
	require.NoError(t, err)
	for want, got := range map[string]*Secret{
		"postgres://u:hunter2@h/d": &e.DatabaseURL, "access": &e.S3AccessKey, "hunter2": &e.S3SecretKey,
	} {
		require.Equal(t, want, got.Reveal())
		*got = Secret{} // secrets are not compared with ==
	}
	require.Equal(t, Env{
		ConfigPath: "deploy/dev/mailroom.yaml", Listen: "127.0.0.1:8080", OperatorListen: "127.0.0.1:8081",
		MetricsListen: "127.0.0.1:9465", WorkerMetricsListen: "127.0.0.1:9465",
		S3Endpoint: "http://127.0.0.1:9000", S3Public: "http://127.0.0.1:9000", S3Region: "us-east-1",
		RawBucket: "mailroom-raw", AttachmentsBucket: "mailroom-attachments", SpoolDir: os.TempDir(), LogLevel: "info",
	}, e)
}

func TestReadEnvTakesWhatIsSet(t *testing.T) {
	t.Parallel()
	e, err := ReadEnv(of(credentials(map[string]string{
		"PORT": "9999", "S3_ENDPOINT": "https://s3.example/", "CLAMD_ADDRESS": "clamav:3310", "MAILROOM_LOG_LEVEL": "WARN",
	})), RoleIngress)
	require.NoError(t, err)
	require.Equal(t, ":9999", e.Listen)
	require.Equal(t, "https://s3.example", e.S3Endpoint)
	require.Equal(t, "https://s3.example", e.S3Public)
	require.Equal(t, "clamav:3310", e.ClamdAddress)
	require.Equal(t, "warn", e.LogLevel)

	e, err = ReadEnv(of(credentials(map[string]string{"PORT": "9999", "MAILROOM_LISTEN": "0.0.0.0:1"})), RoleIngress)
	require.NoError(t, err)
	require.Equal(t, "0.0.0.0:1", e.Listen)
}

func TestReadEnvNamesEveryMistake(t *testing.T) {
	t.Parallel()
	_, err := ReadEnv(of(map[string]string{
		"PORT": "http", "MAILROOM_OPERATOR_LISTEN": "8081", "MAILROOM_METRICS_LISTEN": "h:99999",
		"S3_ENDPOINT": "127.0.0.1:9000", "S3_PUBLIC_ENDPOINT": "https://key:hunter2@s3.example", "MAILROOM_LOG_LEVEL": "loud",
		"MAILROOM_RAW_BUCKET": "same", "MAILROOM_ATTACHMENTS_BUCKET": "same",
	}), RoleIngress)
	require.EqualError(t, err, `environment is not valid
  PORT must be a port from 0 to 65535
  MAILROOM_OPERATOR_LISTEN must be an address to listen on, such as 127.0.0.1:8080 or :8080
  MAILROOM_METRICS_LISTEN must be an address to listen on, such as 127.0.0.1:8080 or :8080
  DATABASE_URL is not set
  S3_ENDPOINT must be an http or https URL of a host alone, such as http://127.0.0.1:9000
  S3_ACCESS_KEY is not set
  S3_SECRET_KEY is not set
  MAILROOM_LOG_LEVEL must be debug, info, warn or error, not "loud"
  S3_PUBLIC_ENDPOINT must be an http or https URL of a host alone, such as http://127.0.0.1:9000
  MAILROOM_ATTACHMENTS_BUCKET must differ from MAILROOM_RAW_BUCKET`)
}

// Variables is what ReadEnv reads, no more and no less.
func TestVariablesAreWhatIsRead(t *testing.T) {
	t.Parallel()
	var read []string
	_, err := ReadEnv(func(name string) string {
		read = append(read, name)
		return credentials(nil)[name]
	}, RoleIngress)
	require.NoError(t, err)

	var listed []string
	for _, v := range Variables() {
		listed = append(listed, v.Name)
		if !v.Required {
			continue
		}
		env := credentials(nil)
		delete(env, v.Name)
		_, err := ReadEnv(of(env), RoleIngress)
		require.ErrorContains(t, err, v.Name+" is not set")
	}
	slices.Sort(read)
	require.ElementsMatch(t, slices.Compact(read), listed)
}

func TestSecretNeverPrints(t *testing.T) {
	t.Parallel()
	s := NewSecret("hunter2")
	type holder struct {
		Key    Secret
		hidden Secret
	}
	encoded, err := json.Marshal(holder{s, s})
	require.NoError(t, err)
	for _, text := range []string{
		fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s %q %x", s, s, s, s, s, s), string(encoded),
		fmt.Sprintf("%v %+v %#v", holder{s, s}, &holder{s, s}, holder{s, s}), fmt.Sprintf("%d", s),
	} {
		require.NotContains(t, text, "hunter2")
		require.NotContains(t, text, "68756e74657232")
	}
	require.Equal(t, "hunter2", s.Reveal())
}
