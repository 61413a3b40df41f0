package operations

// Choices are the names by which a caller can choose mail, as they are configured. Mail that
// came under an earlier configuration may have others.
type Choices struct {
	Tenants      []string
	Sources      []string
	Destinations []string
}

// Choices returns the names that are Visible to callers of tenants.
func (s *Service) Choices(tenants []string) Choices {
	var out Choices
	own := Visible(s.cfg, tenants)
	for _, t := range own.Tenants {
		out.Tenants = append(out.Tenants, t.Name)
	}
	for _, source := range own.Sources {
		out.Sources = append(out.Sources, source.Name)
	}
	for _, to := range own.Destinations {
		out.Destinations = append(out.Destinations, to.Name)
	}
	return out
}
