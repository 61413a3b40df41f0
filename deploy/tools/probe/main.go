// Command probe asks a URL whether a program is well, for the health checks of
// images that hold no shell: exit 0 on 200, 1 on any other answer, 2 on misuse. With
// -print it also writes what the URL answers, for people.
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

const timeout = 5 * time.Second

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	into := io.Discard
	if len(args) > 0 && args[0] == "-print" {
		into, args = stdout, args[1:]
	}
	if len(args) != 1 {
		fmt.Fprintln(stderr, "usage: probe [-print] URL")
		return 2
	}
	if err := ask(args[0], into); err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}

func ask(url string, into io.Writer) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(into, resp.Body); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, resp.Status)
	}
	return nil
}
