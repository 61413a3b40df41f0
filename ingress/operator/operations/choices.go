package operations

import "slices"

// Choices are the names by which a caller can choose mail, as they are configured. Mail that
// came under an earlier configuration may have others.
type Choices struct {
	Tenants      []string
	Sources      []string
	Destinations []string
}

// Choices returns the names that belong to tenants, nil meaning all.
func (s *Service) Choices(tenants []string) Choices {
	var out Choices
	for _, t := range s.cfg.Tenants {
		if tenants == nil || slices.Contains(tenants, t.Name) {
			out.Tenants = append(out.Tenants, t.Name)
		}
	}
	for _, source := range s.cfg.Sources {
		if tenants == nil || slices.Contains(tenants, source.Tenant) {
			out.Sources = append(out.Sources, source.Name)
		}
	}
	for _, to := range s.cfg.Destinations {
		if s.shows(to.Name, tenants) {
			out.Destinations = append(out.Destinations, to.Name)
		}
	}
	return out
}
