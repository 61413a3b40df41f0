package payload

// What adding a name to members can give.
type added int

const (
	fresh added = iota
	repeated
	oneTooMany // the first name beyond MaxMembers
)

// members remembers the names of one object by their hashes, with a seed that is
// new for each text: names are compared in constant memory each, and nobody can
// aim at a collision. Beyond MaxMembers it remembers the names of the schema alone.
type members struct {
	few  [24]uint64
	n    int
	many map[uint64]struct{}
}

func (m *members) add(hash uint64, ours bool) added {
	if m.n < len(m.few) {
		for _, h := range m.few[:m.n] {
			if h == hash {
				return repeated
			}
		}
		m.few[m.n] = hash
		m.n++
		return fresh
	}
	if m.many == nil {
		m.many = make(map[uint64]struct{}, 4*len(m.few))
		for _, h := range m.few {
			m.many[h] = struct{}{}
		}
	}
	if _, there := m.many[hash]; there {
		return repeated
	}
	if m.n < MaxMembers || ours {
		m.many[hash] = struct{}{}
	}

	if m.n > MaxMembers {
		return fresh
	}
	if m.n++; m.n > MaxMembers {
		return oneTooMany
	}
	return fresh
}
