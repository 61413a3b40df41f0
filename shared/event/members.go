package event

// What adding a name to members can give.
type added int

const (
	fresh added = iota
	repeated
	tooMany
)

// members remembers the names of one object by their hashes, with a seed that is
// new for each text: names are compared in constant memory each, and nobody can
// aim at a collision.
type members struct {
	few  [24]uint64
	n    int
	many map[uint64]struct{}
}

func (m *members) add(hash uint64) added {
	if m.n == MaxMembers {
		return tooMany
	}
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
	m.many[hash] = struct{}{}
	m.n++
	return fresh
}
