package secret

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"
)

// awsManager reads from AWS Secrets Manager. The SDK finds region, credentials and
// endpoint in the usual places: the environment, shared files, the role of the container
// or the machine.
type awsManager struct {
	mu     sync.Mutex
	config aws.Config
	client *secretsmanager.Client
}

// open makes the client, once.
func (m *awsManager) open(ctx context.Context) (*secretsmanager.Client, aws.Config, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.client == nil {
		web := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
			t.DisableKeepAlives = true // the next call is minutes away
		})
		c, err := awsconfig.LoadDefaultConfig(ctx, awsconfig.WithHTTPClient(web))
		if err != nil { // the cause may repeat a line of a file with credentials
			return nil, aws.Config{}, errors.New("the settings of the AWS client (AWS_*, ~/.aws) cannot be used")
		}
		m.config, m.client = c, secretsmanager.NewFromConfig(c)
	}
	return m.client, m.config, nil
}

// read returns the current version of a secret, or one member of it.
func (m *awsManager) read(ctx context.Context, at reference) (string, error) {
	client, c, err := m.open(ctx)
	if err != nil {
		return "", err
	}

	region := cmp.Or(regionOf(at.name), c.Region)
	if region == "" {
		return "", errors.New("no AWS region is set (AWS_REGION)")
	}
	if c.Credentials == nil {
		return "", errors.New("no AWS credentials were found")
	}
	if _, err := c.Credentials.Retrieve(ctx); err != nil { // cached; its error may quote a server
		if ctx.Err() != nil { // there may be credentials
			return "", unreachable("AWS Secrets Manager", ctx.Err())
		}
		return "", errors.New("no AWS credentials were found")
	}

	got, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String(at.name)},
		func(o *secretsmanager.Options) { o.Region = region })
	if err != nil {
		return "", awsFailure(err)
	}
	text := got.SecretBinary
	if got.SecretString != nil {
		text = []byte(*got.SecretString)
	}

	if at.field == "" {
		return trimmed(string(text))
	}
	value, err := member(text, at.field)
	if err != nil {
		return "", err
	}
	return trimmed(value)
}

// regionOf returns the region that an ARN names: arn:aws:secretsmanager:REGION:….
func regionOf(id string) string {
	parts := strings.SplitN(id, ":", 5)
	if len(parts) < 5 || parts[0] != "arn" {
		return ""
	}
	return parts[3]
}

// errorCode is what an AWS error code looks like.
var errorCode = regexp.MustCompile(`^[A-Za-z0-9.]{1,64}$`)

// awsFailure describes a failure by its code and status, without the server's message.
func awsFailure(err error) error {
	var (
		absent *types.ResourceNotFoundException
		ending *types.InvalidRequestException // of a reading: it is scheduled for deletion
		api    smithy.APIError
		answer *awshttp.ResponseError
	)
	switch {
	case errors.As(err, &absent):
		return gone("AWS Secrets Manager has no secret of that name")
	case errors.As(err, &ending):
		return goneError{fmt.Errorf("AWS Secrets Manager answered %s: the secret is scheduled for deletion", ending.ErrorCode())}
	case errors.As(err, &api) && errorCode.MatchString(api.ErrorCode()):
		return fmt.Errorf("AWS Secrets Manager answered %s", api.ErrorCode())
	case errors.As(err, &answer) && answer.HTTPStatusCode() != 0:
		return fmt.Errorf("AWS Secrets Manager answered %d", answer.HTTPStatusCode())
	}
	return unreachable("AWS Secrets Manager", err)
}
