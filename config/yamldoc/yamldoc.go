// Package yamldoc reads YAML files as nodes, which know their lines. It looks at
// no more than two documents: a second one is a mistake in the files that are
// read here.
package yamldoc

import (
	"bytes"
	"errors"
	"io"

	"go.yaml.in/yaml/v3"
)

// Read returns the roots of the first two documents, nil for one
// that is not there.
func Read(data []byte) (first, second *yaml.Node, err error) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for _, root := range []**yaml.Node{&first, &second} {
		*root, err = next(decoder)
		if errors.Is(err, io.EOF) {
			return first, second, nil
		}
		if err != nil {
			return first, second, err
		}
	}
	return first, second, nil
}

// next makes an error of a panic: the file must not be able to end
// the program, whatever the parser thinks of it.
func next(decoder *yaml.Decoder) (root *yaml.Node, err error) {
	defer func() {
		if p := recover(); p != nil {
			root, err = nil, errors.New("yaml: the parser gave up")
		}
	}()
	var n yaml.Node
	if err := decoder.Decode(&n); err != nil {
		return nil, err
	}
	if n.Kind != yaml.DocumentNode || len(n.Content) == 0 {
		return nil, io.EOF
	}
	return n.Content[0], nil
}
