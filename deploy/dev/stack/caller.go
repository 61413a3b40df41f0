package stack

import "strings"

// Caller is how a person calls this stack, for messages that advise what to type. The zero value
// means make, in the repository.
type Caller struct {
	Program string // an installed program, such as mailroom-dev, as a shell reads it
	Flags   string // that have to follow each of its commands, such as -dir FOLDER
	Mailctl string // the whole call of mailctl; in the repository its path
}

// Forget returns the command that stops the stack and deletes its data.
func (c Caller) Forget() string {
	if c.Program == "" {
		return "make down CLEAN=1"
	}
	return strings.TrimSpace(c.Program + " down -clean " + c.Flags)
}

// StoreOption returns the name of the option that chooses the object store.
func (c Caller) StoreOption() string {
	if c.Program == "" {
		return "STORE"
	}
	return "-store"
}

// ShellWord returns text as a shell reads it as one word.
func ShellWord(text string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%"
	if text != "" && strings.Trim(text, plain) == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
