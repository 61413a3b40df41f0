// Command ingress takes webhooks, makes them durable and starts their workflows.
// The environment configures it; see config.Env.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"mailroom/ingress"
	"mailroom/shared/config"
	"mailroom/shared/secret"
	"mailroom/shared/telemetry"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "ingress:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	env, err := config.ReadEnv(os.Getenv, "127.0.0.1:9464")
	if err != nil {
		return err
	}
	logger := telemetry.NewLogger(os.Stderr, env.LogLevel, "ingress")
	secrets, err := secret.Open(ctx, secret.Config{Logger: logger})
	if err != nil {
		return err
	}
	file, err := config.LoadWith(ctx, env.ConfigPath, secrets)
	if err != nil {
		return err
	}
	return ingress.Run(ctx, env, file, secrets, logger)
}
