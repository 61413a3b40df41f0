package command

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"mailroom/deploy/dev/process"
	"mailroom/deploy/dev/stack"
	"mailroom/shared/config"
)

const (
	// defaultConfig is the development configuration, relative to the repository's root.
	defaultConfig = "deploy/dev/mailroom.yaml"
	// builtInConfig is the name of its copy in the data folder of an installed program.
	builtInConfig = "built-in.yaml"
	// schemaName is the name of the schema that it names, for editors.
	schemaName = "config.schema.json"
	// installedDir is the data folder of an installed program, in the folder that it is run in.
	installedDir = ".mailroom"
)

// place is where a command works: in the repository, or outside of it with installed programs.
type place struct {
	root   string // of the repository; empty: outside of it
	dir    string // .dev, or the data folder of an installed program
	bin    string // where the programs are
	listen netip.Addr
	store  string // the object store that the caller wants; empty: none in particular
	caller stack.Caller
	vars   stack.Vars // the calling environment, then .env, then the defaults of development
	own    stack.Vars // the calling environment alone

	builtIn    []byte // the development configuration, for where there is no repository
	composeEnv bool   // .env is made for Compose and left alone
}

// here returns the place of the repository around the working directory; where there is none,
// or dir is set, the place of this installed program.
func here(environ []string, dir string, builtIn []byte) (place, error) {
	start, err := os.Getwd()
	if err != nil {
		return place{}, fmt.Errorf("find the working directory: %w", err)
	}
	if root := repository(start); dir == "" && root != "" {
		return placeAt(root, environ)
	}

	program, err := os.Executable()
	if err == nil {
		program, err = filepath.EvalSymlinks(program)
	}
	if err != nil {
		return place{}, fmt.Errorf("find the installed programs: %w", err)
	}
	caller := installedCaller(os.Args[0], filepath.Dir(program), dir, os.Getenv)
	if dir, err = filepath.Abs(cmp.Or(dir, installedDir)); err != nil {
		return place{}, fmt.Errorf("find the data folder: %w", err)
	}
	p, err := installedAt(filepath.Dir(program), dir, environ, builtIn)
	p.caller = caller
	return p, err
}

// calledAs is the variable in which a launcher says by which words it is called.
const calledAs = "MAILROOM_CALLED_AS"

// installedCaller returns how a person calls the installed program that was called as name, with
// its data in dir if that is not empty.
func installedCaller(name, bin, dir string, getenv func(string) string) stack.Caller {
	c := stack.Caller{Program: stack.ShellWord(name), Mailctl: stack.ShellWord(filepath.Join(bin, "mailctl"))}
	if launcher := getenv(calledAs); launcher != "" {
		c.Program, c.Mailctl = launcher, launcher+" mailctl"
	}
	if dir != "" {
		c.Flags = "-dir " + stack.ShellWord(dir)
	}
	return c
}

// repository returns the root of the repository that dir is in, "" where it is in none.
func repository(dir string) string {
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, defaultConfig)); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			return ""
		}
	}
}

// placeAt returns the place of the repository whose root is dir.
func placeAt(dir string, environ []string) (place, error) {
	var err error
	p := place{root: dir, dir: filepath.Join(dir, ".dev"), bin: filepath.Join(dir, ".dev", "bin")}
	p.caller.Mailctl = p.show(filepath.Join(p.bin, "mailctl"))
	if p.own, err = stack.Resolve(environ, "", nil); err != nil {
		return place{}, err
	}

	dotenv := filepath.Join(dir, ".env")
	if p.composeEnv, err = stack.ForCompose(dotenv); err != nil {
		return place{}, err
	}
	if p.composeEnv {
		dotenv = ""
	}
	p.vars, err = stack.Resolve(environ, dotenv, stack.DevDefaults())
	return p, err
}

// installedAt returns the place of installed programs. All of them have to be there.
func installedAt(bin, dir string, environ []string, builtIn []byte) (place, error) {
	var missing []string
	for _, name := range append(stack.ProgramNames(), stack.Devstack) {
		if info, err := os.Stat(filepath.Join(bin, name)); err != nil || !info.Mode().IsRegular() {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return place{}, fmt.Errorf("this is not inside Mailroom's repository, and %s has no %s: change to the repository, or install the whole archive",
			bin, strings.Join(missing, ", "))
	}

	p := place{dir: dir, bin: bin, builtIn: builtIn}
	var err error
	if p.own, err = stack.Resolve(environ, "", nil); err != nil {
		return place{}, err
	}
	p.vars, err = stack.Resolve(environ, "", stack.DevDefaults())
	return p, err
}

// developmentConfig returns the path of the development configuration. Outside of the
// repository it is written into the data folder.
func (p place) developmentConfig() (string, error) {
	if p.root != "" {
		return filepath.Join(p.root, defaultConfig), nil
	}
	path, schema := filepath.Join(p.dir, builtInConfig), filepath.Join(p.dir, schemaName)
	text := bytes.Replace(p.builtIn, []byte("../../shared/config/"+schemaName), []byte(schemaName), 1)
	if now, err := os.ReadFile(path); err == nil && bytes.Equal(now, text) { //nolint:gosec // in the data folder
		return path, nil
	}

	err := errors.Join(
		os.MkdirAll(p.dir, 0o755), //nolint:gosec // PostgreSQL's user must pass
		os.WriteFile(schema, []byte(config.Schema()), 0o600),
		os.WriteFile(path, text, 0o600))
	if err != nil {
		return "", fmt.Errorf("write the built-in configuration: %w", err)
	}
	return path, nil
}

func (p place) tools(console *process.Console) stack.Tools {
	return stack.Tools{Root: p.root, Dir: filepath.Join(p.dir, "tools"), Caller: p.caller, Console: console}
}

// show returns a path relative to the repository's root if it is below it, else unchanged.
func (p place) show(path string) string {
	if relative, err := filepath.Rel(p.root, path); p.root != "" && err == nil && filepath.IsLocal(relative) {
		return relative
	}
	return path
}
