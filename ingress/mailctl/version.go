package mailctl

import "mailroom/shared/build"

type versionCommand struct{}

// Run prints which build this is, in the lines of `mailroom version`.
func (versionCommand) Run(s *session) error {
	b := build.Read()
	if s.json() {
		return s.printJSON(map[string]string{"version": b.Version, "commit": b.Commit, "date": b.Date, "go": b.Go})
	}
	return s.printf("%s", b.Text("mailctl"))
}
