package config

// Role is a set of the roles that a process runs as.
type Role uint8

// RoleNone is the set of a program that resolves no secret.
const RoleNone Role = 0

// The roles of the server.
const (
	RoleIngress Role = 1 << iota
	RoleWorker
	RoleAll = RoleIngress | RoleWorker
)

// has reports whether r holds a role of other.
func (r Role) has(other Role) bool { return r&other != 0 }

// String returns the name of the command that runs the roles.
func (r Role) String() string {
	switch r {
	case RoleNone:
		return "none"
	case RoleIngress:
		return "ingress"
	case RoleWorker:
		return "worker"
	}
	return "all"
}
