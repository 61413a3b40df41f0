package command

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"

	"mailroom/deploy/dev/process"
	"mailroom/deploy/dev/stack"
	"mailroom/shared/config"
)

// copiedConfig is the name of the copy of a configuration, in .dev, that has further settings
// for the scanner.
const copiedConfig = "mailroom.yaml"

// scanning is what this machine has for scanning mail.
type scanning struct {
	clamd      bool // it is installed
	signatures bool // it has signatures whose age can be known
}

func scanningHere() scanning {
	return scanning{clamd: stack.FindClamd() != "", signatures: stack.HasSignatures()}
}

// setting is a key below scanner in a configuration, and its value.
type setting struct{ key, value string }

// missing returns the setting for this machine's scanner that a configuration lacks, zero if it
// lacks none, and a warning for people, which may be empty. The built-in scanner is chosen only
// for the development configuration.
func (h scanning) missing(file *config.File, development bool, path string) (say setting, warning string, err error) {
	switch {
	case h.clamd && h.signatures:
		return setting{}, "", nil
	case h.clamd:
		return setting{"max_signature_age", "off"}, "", nil
	case file.Scanner.BuiltIn:
	case development:
		say = setting{"builtin", "true"}
	default:
		return setting{}, "", fmt.Errorf("clamd is not installed and %s has no `scanner: builtin`: "+
			"apt-get install --no-install-recommends clamav-daemon, or write that key, for development alone", path)
	}
	return say, "WARNING: clamd is not installed. The built-in scanner serves, which knows the EICAR test file and little more: " +
		"for development alone. For real scans: apt-get install clamav-daemon", nil
}

// madeConfig is the configuration that the programs use: a file as it is, or a copy of it in
// .dev that has not been written yet.
type madeConfig struct {
	path string
	text []byte // of the copy
}

func (m madeConfig) write() error {
	if m.text == nil {
		return nil
	}
	if err := os.WriteFile(m.path, m.text, 0o600); err != nil {
		return fmt.Errorf("copy the configuration: %w", err)
	}
	return nil
}

// scannerConfig returns the file at path, or a copy with the missing setting of the scanner. It
// writes neither to a tracked file nor to the caller's own.
func (p place) scannerConfig(path string, file *config.File, here scanning, console *process.Console) (madeConfig, error) {
	made := madeConfig{path: path}
	say, warning, err := here.missing(file, path == filepath.Join(p.root, defaultConfig) || path == filepath.Join(p.dir, builtInConfig), p.show(path))
	if err != nil {
		return made, err
	}
	if warning != "" {
		console.Say("%s", warning)
	}
	if say == (setting{}) {
		return made, nil
	}

	text, err := os.ReadFile(path) //nolint:gosec // the caller's own file
	if err != nil {
		return made, fmt.Errorf("read the configuration: %w", err)
	}
	changed, err := withScanner(text, say)
	if err != nil {
		return made, fmt.Errorf("copy the configuration %s: %w", p.show(path), err)
	}
	if changed == nil {
		return made, nil
	}

	head := fmt.Sprintf("# Made from %s at each start of the local stack.\n", p.show(path))
	return madeConfig{path: filepath.Join(p.dir, copiedConfig), text: append([]byte(head), changed...)}, nil
}

// withScanner returns a configuration with one more key below scanner, nil if it has that key
// already. Everything else is unchanged, comments included.
func withScanner(text []byte, say setting) ([]byte, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, err
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("it is no mapping")
	}

	scanner := member(doc.Content[0], "scanner", &yaml.Node{Kind: yaml.MappingNode})
	if scanner.Kind != yaml.MappingNode { // the word builtin, or nothing
		word := scanner.Value
		*scanner = yaml.Node{Kind: yaml.MappingNode}
		if word == "builtin" {
			member(scanner, word, &yaml.Node{Kind: yaml.ScalarNode, Value: "true"})
		}
	}
	value := &yaml.Node{Kind: yaml.ScalarNode, Value: say.value}
	if member(scanner, say.key, value) != value {
		return nil, nil
	}

	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(&doc); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// member returns the value under key in a mapping. If there is none it adds fallback and returns
// that.
func member(mapping *yaml.Node, key string, fallback *yaml.Node) *yaml.Node {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1]
		}
	}
	mapping.Content = append(mapping.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: key}, fallback)
	return fallback
}
