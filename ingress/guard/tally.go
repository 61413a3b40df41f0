package guard

import "net/netip"

// tally counts what each address holds, under the key of its subscriber; there is
// no entry of nobody. Who uses it locks it.
type tally map[addressKey]int

// take counts one more for key, unless it has most already.
func (t tally) take(key addressKey, most int) bool {
	if t[key] >= most {
		return false
	}
	t[key]++
	return true
}

func (t tally) give(key addressKey) {
	if t[key]--; t[key] == 0 {
		delete(t, key)
	}
}

// exempt reports whether addr is not counted: behind loopback and declared proxies
// there are many, and of the unknown address nothing can be said.
func (p *Proxies) exempt(addr netip.Addr) bool {
	return !addr.IsValid() || addr.IsLoopback() || p.Trusts(addr)
}
