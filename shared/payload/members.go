package payload

// added is the outcome of adding a name to members.
type added int

const (
	fresh added = iota
	repeated
	oneTooMany // the first name beyond MaxMembers
)

// members is the set of names in one object, by their hashes: constant memory for each
// name, and a new seed for each text, so that collisions cannot be provoked. Beyond
// MaxMembers it stores only names of the schema.
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
