package activities_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/activities"
	"mailroom/shared/contract"
	"mailroom/shared/ledger"
)

// purging is the ledger and the object store of a purge; calls are in their order.
type purging struct {
	batches [][]ledger.UnwantedObject
	fail    map[string]error // by call
	on      func(call string)
	calls   []string
}

func (p *purging) call(ctx context.Context, name string) error {
	p.calls = append(p.calls, name)
	if p.on != nil {
		p.on(name)
	}
	return errors.Join(p.fail[name], ctx.Err())
}

func (p *purging) ForgetSamples(context.Context, time.Duration) error  { return nil }
func (p *purging) ForgetRemovals(context.Context, time.Duration) error { return nil }

func (p *purging) RemoveContent(context.Context, time.Time, int) (int64, error) { return 0, nil }

func (p *purging) BeginRemoval(ctx context.Context, _ int) ([]ledger.UnwantedObject, error) {
	if err := p.call(ctx, "begin"); err != nil || len(p.batches) == 0 {
		return nil, err
	}
	list := p.batches[0]
	p.batches = p.batches[1:]
	return list, nil
}

func (p *purging) EndRemoval(ctx context.Context, o ledger.UnwantedObject) error {
	return p.call(ctx, "end "+o.Key)
}

func (p *purging) CancelRemoval(ctx context.Context, list []ledger.UnwantedObject) error {
	name := "cancel"
	for _, o := range list {
		name += " " + o.Key
	}
	return p.call(ctx, name)
}

func (p *purging) Remove(ctx context.Context, o ledger.UnwantedObject) error {
	return p.call(ctx, "remove "+o.Key)
}

func objectsNamed(keys ...string) []ledger.UnwantedObject {
	list := make([]ledger.UnwantedObject, len(keys))
	for i, key := range keys {
		list[i] = ledger.UnwantedObject{Bucket: "attachments", Key: key}
	}
	return list
}

func (p *purging) purge(ctx context.Context, t *testing.T) (contract.MaintenanceResult, error) {
	t.Helper()
	purge, err := activities.NewPurge(activities.PurgeConfig{}, activities.PurgeDeps{Content: p, Removals: p, Objects: p})
	require.NoError(t, err)
	return purge.Purge(ctx, contract.MaintenanceInput{})
}

// The mark of an object is there before the object goes, and becomes the end of the
// removal after that; an object of which it is not known whether it went keeps its mark.
func TestPurgeInTwoPhases(t *testing.T) {
	t.Parallel()
	down := errors.New("down")
	for name, c := range map[string]struct {
		batches [][]ledger.UnwantedObject
		fail    map[string]error
		calls   []string
		removed int64
	}{
		"nothing": {nil, nil, []string{"begin"}, 0},
		"two batches": {
			[][]ledger.UnwantedObject{objectsNamed("a", "b"), objectsNamed("c")}, nil,
			[]string{"begin", "remove a", "end a", "remove b", "end b", "begin", "remove c", "end c", "begin"}, 3,
		},
		"the object store is unavailable": {
			[][]ledger.UnwantedObject{objectsNamed("a", "b", "c")}, map[string]error{"remove b": down},
			[]string{"begin", "remove a", "end a", "remove b", "cancel c"}, 1,
		},
		"the ledger is unavailable": {
			[][]ledger.UnwantedObject{objectsNamed("a", "b")}, map[string]error{"end a": down},
			[]string{"begin", "remove a", "end a", "cancel b"}, 0,
		},
		"from the beginning": {nil, map[string]error{"begin": down}, []string{"begin"}, 0},
	} {
		p := &purging{batches: c.batches, fail: c.fail}
		out, err := p.purge(t.Context(), t)
		require.Equal(t, c.fail != nil, err != nil, name)
		require.Equal(t, c.calls, p.calls, name)
		require.Equal(t, c.removed, out.Objects, name)
	}
}

func TestPurgeThatIsStoppedFreesTheRest(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p := &purging{batches: [][]ledger.UnwantedObject{objectsNamed("a", "b")}}
	p.on = func(call string) {
		if call == "remove a" {
			cancel()
		}
	}
	_, err := p.purge(ctx, t)
	require.Error(t, err)
	require.Equal(t, []string{"begin", "remove a", "cancel b"}, p.calls)
}

func TestPurgeIsBounded(t *testing.T) {
	t.Parallel()
	p := &purging{}
	for i := range 1000 {
		p.batches = append(p.batches, objectsNamed(fmt.Sprint(i)))
	}
	out, err := p.purge(t.Context(), t)
	require.NoError(t, err)
	require.EqualValues(t, 500, out.Objects)
}
