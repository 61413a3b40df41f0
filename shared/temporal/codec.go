package temporal

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/protobuf/proto"

	"mailroom/shared/fault"
	"mailroom/shared/seal"
)

// The encoding of an encrypted payload and the metadata field with the id of its key.
// Temporal's samples and tools use the same names.
const (
	Encrypted   = "binary/encrypted"
	MetadataKey = "encryption-key-id"
)

const (
	// maxPayload bounds a payload before encryption and after decryption. Temporal
	// accepts 2 MiB of encrypted content.
	maxPayload = 4 << 20
	// worthwhile is the size from which payloads are compressed: below, zlib would take
	// more time than all other work and save a hundred bytes.
	worthwhile = 512
)

// The first byte of the decrypted content: the form of the rest.
const (
	plainForm = 0
	zlibForm  = 1
)

// Codec encrypts payloads with the first key of a keyring and decrypts them with any.
// It encrypts the whole payload with its metadata, and compresses it first if that
// makes it smaller.
//
// Without keys it leaves payloads unchanged. Decode passes on what this codec has not
// encrypted, so that histories from before there were keys still replay. A payload
// whose key is missing is config_invalid; one that cannot be decrypted, or whose
// content is no payload, is content_lost.
type Codec struct {
	keys seal.Keyring
	// block makes Decode panic if a key is missing; see dataConverter.
	block bool
}

var _ converter.PayloadCodec = Codec{}

// NewCodec returns the codec of a keyring.
func NewCodec(keys seal.Keyring) Codec { return Codec{keys: keys} }

// Encode implements converter.PayloadCodec.
func (c Codec) Encode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	if c.keys.Empty() {
		return payloads, nil
	}
	out := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		var err error
		if out[i], err = c.encode(p); err != nil {
			return payloads, fmt.Errorf("encrypt payload: %w", err)
		}
	}
	return out, nil
}

func (c Codec) encode(p *commonpb.Payload) (*commonpb.Payload, error) {
	size := proto.Size(p)
	if size > maxPayload {
		return nil, fault.Newf(fault.Internal, "a payload of %d bytes is longer than the limit of %d", size, maxPayload)
	}

	packed, err := proto.MarshalOptions{}.MarshalAppend(append(make([]byte, 0, size+1), plainForm), p)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "the payload cannot be written", err)
	}
	if size >= worthwhile {
		if small := seal.Compress(packed[1:]); len(small) < size {
			packed = append(packed[:0], zlibForm)
			packed = append(packed, small...)
		}
	}

	id, sealed, err := c.keys.Encrypt(seal.TemporalPayload, packed)
	if err != nil {
		return nil, err
	}

	return &commonpb.Payload{
		Metadata: map[string][]byte{converter.MetadataEncoding: []byte(Encrypted), MetadataKey: []byte(id)},
		Data:     sealed,
	}, nil
}

// Decode implements converter.PayloadCodec.
func (c Codec) Decode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	out := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		var err error
		out[i], err = c.decode(p)
		if err != nil && c.block && fault.From(err).Temporary {
			panic(err)
		}
		if err != nil {
			return payloads, fmt.Errorf("decrypt payload: %w", err)
		}
	}
	return out, nil
}

func (c Codec) decode(p *commonpb.Payload) (*commonpb.Payload, error) {
	id, named := p.GetMetadata()[MetadataKey]
	if !named || !bytes.Equal(p.GetMetadata()[converter.MetadataEncoding], []byte(Encrypted)) {
		return p, nil
	}

	const lost = "the encrypted content is no payload"
	packed, err := c.keys.Decrypt(seal.TemporalPayload, string(id), p.GetData())
	if err != nil {
		return nil, err
	}
	if len(packed) == 0 || packed[0] > zlibForm {
		return nil, fault.Wrap(fault.ContentLost, lost, errors.New("its first byte is unknown"))
	}

	plain := packed[1:]
	if packed[0] == zlibForm {
		if plain, err = seal.Decompress(plain, maxPayload); err != nil {
			return nil, err
		}
	}
	if len(plain) > maxPayload {
		return nil, fault.Newf(fault.ContentLost, "the encrypted payload is longer than %d bytes", maxPayload)
	}

	var out commonpb.Payload
	if err := proto.Unmarshal(plain, &out); err != nil {
		return nil, fault.Wrap(fault.ContentLost, lost, err)
	}

	return &out, nil
}

// dataConverter is the SDK's default converter with a Codec.
//
// Inside a workflow a missing key must not be an error: the SDK ends a workflow whose
// input cannot be decoded, and drops a signal. There it is a panic, which fails the
// workflow task, is shown in the history, and is retried until the key is deployed.
type dataConverter struct {
	converter.DataConverter
	inWorkflows converter.DataConverter
}

var _ workflow.ContextAware = dataConverter{}

// Converter returns the data converter of all programs. It decodes also without keys:
// the error then names the missing key.
func Converter(keys seal.Keyring) converter.DataConverter {
	behind := func(c Codec) converter.DataConverter {
		return converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), c)
	}
	return dataConverter{
		DataConverter: behind(NewCodec(keys)), inWorkflows: behind(Codec{keys: keys, block: true}),
	}
}

// WithWorkflowContext implements workflow.ContextAware.
func (d dataConverter) WithWorkflowContext(workflow.Context) converter.DataConverter {
	return d.inWorkflows
}

// WithContext implements workflow.ContextAware.
func (d dataConverter) WithContext(context.Context) converter.DataConverter { return d }
