package config

import (
	"maps"
	"reflect"
	"slices"
)

// Changed returns the keys of the file, sorted, whose text differs in other. Comments and
// the order of keys do not count, nor does what a reference leads to.
func (f *File) Changed(other *File) []string {
	before, after := f.settings(), other.settings()
	names := map[string]bool{}
	for _, settings := range []map[string]any{before, after} {
		for name := range settings {
			if !reflect.DeepEqual(before[name], after[name]) {
				names[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// settings returns what the file says, by its keys.
func (f *File) settings() map[string]any {
	if f.text.root == nil { // not read from a file
		return nil
	}
	settings, _ := instance(f.text.root).(map[string]any)
	return settings
}
