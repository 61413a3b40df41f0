package secret

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	vaultapi "github.com/hashicorp/vault/api"
)

const (
	// vaultCall bounds the calls that take no context.
	vaultCall = 10 * time.Second
	// vaultAgain is how soon the token is looked up again after its renewal ended.
	vaultAgain = 30 * time.Second
)

// vault reads from the KV engine, version 2, of HashiCorp Vault. Its client is
// configured by VAULT_ADDR, VAULT_NAMESPACE, VAULT_CACERT and the other variables
// that the client reads itself; the token is in VAULT_TOKEN or in the file that
// VAULT_TOKEN_FILE names, which is read again each time, as an agent renews it.
type vault struct {
	getenv func(string) string
	logger *slog.Logger

	mu     sync.Mutex
	client *vaultapi.Client
}

// open makes the client, once.
func (v *vault) open() (*vaultapi.Client, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.client == nil {
		if v.getenv("VAULT_ADDR") == "" && v.getenv("VAULT_AGENT_ADDR") == "" && v.getenv("VAULT_PROXY_ADDR") == "" {
			return nil, errors.New("VAULT_ADDR is not set")
		}

		c := vaultapi.DefaultConfig()
		if c.Error != nil {
			return nil, fmt.Errorf("the settings of the Vault client (VAULT_*): %w", c.Error)
		}
		client, err := vaultapi.NewClient(c)
		if err != nil { // the cause may repeat a credential in VAULT_ADDR
			return nil, errors.New("the settings of the Vault client (VAULT_*) cannot be used")
		}
		client.SetClientTimeout(vaultCall)
		client.SetDisableKeepAlives(true) // the next call is a minute away
		v.client = client
	}

	if path := v.getenv("VAULT_TOKEN_FILE"); path != "" && v.getenv("VAULT_TOKEN") == "" {
		token, err := readFile(path)
		switch {
		case err == nil && token != v.client.Token():
			v.client.SetToken(token)
		case err != nil && v.client.Token() == "": // else the last one may still do
			return nil, errors.New("the token in VAULT_TOKEN_FILE cannot be read")
		}
	}
	return v.client, nil
}

// read returns the field of the latest version of a secret.
func (v *vault) read(ctx context.Context, at reference) (string, error) {
	client, err := v.open()
	if err != nil {
		return "", err
	}

	found, err := client.KVv2(at.mount).Get(ctx, at.name)
	switch {
	case errors.Is(err, vaultapi.ErrSecretNotFound):
		return "", gone("vault has no secret there, or the mount is not of KV version 2")
	case err != nil:
		return "", vaultFailure(err, client.Token() != "")
	case found.Data == nil:
		return "", gone("the latest version in vault is deleted")
	}

	value, ok := found.Data[at.field]
	if !ok {
		return "", errNoField
	}
	text, ok := value.(string)
	if !ok {
		return "", errors.New("the field is not text")
	}
	return trimmed(text)
}

// vaultFailure describes a failure without the server's message, which may quote the
// request or hold a secret.
func vaultFailure(err error, token bool) error {
	var answer *vaultapi.ResponseError
	if !errors.As(err, &answer) {
		return unreachable("vault", err)
	}
	if answer.StatusCode == 403 && !token {
		return errors.New("vault answered 403, and neither VAULT_TOKEN nor VAULT_TOKEN_FILE is set")
	}
	return fmt.Errorf("vault answered %d", answer.StatusCode)
}

// unreachable describes why a server did not answer, by causes on this side alone.
func unreachable(server string, err error) error {
	var (
		op      *net.OpError
		timeout net.Error
		cert    *tls.CertificateVerificationError
		unknown x509.UnknownAuthorityError
	)
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("%s did not answer in time", server)
	case errors.As(err, &cert), errors.As(err, &unknown):
		return fmt.Errorf("the certificate of %s is not trusted", server)
	case errors.As(err, &op):
		return fmt.Errorf("%s cannot be reached: %w", server, op)
	}
	return fmt.Errorf("%s returned an answer that cannot be understood", server)
}

// renew renews the token until ctx is done, for as long as Vault allows it. A token that
// cannot be renewed stays in use; reads fail when it ends.
func (v *vault) renew(ctx context.Context) {
	failing := false
	for {
		err := v.renewOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		if (err != nil) != failing {
			failing = err != nil
			if failing {
				v.logger.Warn("secret.vault_token", "error", err)
			} else {
				v.logger.Info("secret.vault_token", "state", "renewed")
			}
		}

		wait := time.NewTimer(vaultAgain)
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-wait.C:
		}
	}
}

// renewOnce renews the current token until it is replaced, can no longer be renewed, or
// ctx is done.
func (v *vault) renewOnce(ctx context.Context) error {
	client, err := v.open()
	if err != nil {
		return err
	}
	token := client.Token()
	if token == "" {
		return nil
	}
	ttl, renewable, err := lookUp(ctx, client)
	if err != nil || !renewable {
		return err
	}

	watcher, err := client.NewLifetimeWatcher(&vaultapi.LifetimeWatcherInput{Secret: &vaultapi.Secret{
		Auth: &vaultapi.SecretAuth{ClientToken: token, Renewable: true, LeaseDuration: ttl},
	}})
	if err != nil {
		return errors.New("the token cannot be renewed")
	}
	go watcher.Start() // ends soon after Stop
	defer watcher.Stop()

	replaced := time.NewTicker(vaultAgain)
	defer replaced.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-watcher.DoneCh():
			if err != nil {
				return vaultFailure(err, true)
			}
			return nil
		case <-watcher.RenewCh():
		case <-replaced.C:
			if client.Token() != token {
				return nil
			}
		}
	}
}

// lookUp returns how many seconds the client's token has left, and whether it can be
// renewed.
func lookUp(ctx context.Context, client *vaultapi.Client) (ttl int, renewable bool, err error) {
	self, err := client.Auth().Token().LookupSelfWithContext(ctx)
	if err != nil {
		return 0, false, vaultFailure(err, true)
	}
	if self == nil {
		return 0, false, errors.New("vault returned an answer that cannot be understood")
	}
	renewable, _ = self.Data["renewable"].(bool)
	if number, ok := self.Data["ttl"].(json.Number); ok {
		seconds, _ := number.Int64()
		ttl = int(seconds)
	}
	return ttl, renewable && ttl > 0, nil
}
