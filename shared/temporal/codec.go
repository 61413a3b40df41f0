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

// How an encrypted payload names itself, and under which key it lies. Both are
// what Temporal's own samples and tools use.
const (
	Encrypted   = "binary/encrypted"
	MetadataKey = "encryption-key-id"
)

const (
	// maxPayload bounds a payload before encryption and after decryption. Temporal
	// takes 2 MiB of what comes out.
	maxPayload = 4 << 20
	// worthwhile is the size from which zlib is tried: below it takes more time
	// than all the rest, for a hundred bytes.
	worthwhile = 512
)

// What follows the first byte of the encrypted content.
const (
	plainForm = 0
	zlibForm  = 1
)

// Codec encrypts payloads under the first key of a keyring and decrypts them under
// any. The whole payload is encrypted, its metadata too, compressed before where
// that makes it smaller.
//
// Without keys it leaves payloads as they are. What is not encrypted, or not by a
// codec of this kind, passes through Decode, so that histories from before there
// were keys still replay. A payload whose key is not here is config_invalid; one
// that does not open, or whose content is no payload, is content_lost.
type Codec struct {
	keys seal.Keyring
	// block makes Decode panic where a key is not here; see dataConverter.
	block bool
}

var _ converter.PayloadCodec = Codec{}

// NewCodec gives the codec of a keyring.
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
		return nil, fault.Newf(fault.Internal, "a payload of %d bytes is longer than the %d that Temporal could take", size, maxPayload)
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
		return nil, fault.Wrap(fault.ContentLost, lost, errors.New("it begins as none does"))
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

// dataConverter is the SDK's default converter behind a Codec.
//
// Inside a workflow a payload whose key is not here must not become an error: the
// SDK ends a workflow whose input cannot be read, and drops such a signal. There it
// becomes a panic, which fails the workflow task, says so in the history, and is
// tried again until the key is deployed.
type dataConverter struct {
	converter.DataConverter
	inWorkflows converter.DataConverter
}

var _ workflow.ContextAware = dataConverter{}

// Converter gives the data converter of all our programs, without keys too: then
// it can at least say which key it lacks.
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
