package lint

import (
	"bytes"
	"errors"
	"io"

	"gopkg.in/yaml.v3"
)

// documents returns those of a file, as far as it reads. What is wrong with them
// the loaders say.
func documents[T any](data []byte) []T {
	var list []T
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc T
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return list
		}
		var mistyped *yaml.TypeError
		if err != nil && !errors.As(err, &mistyped) {
			return list
		}
		list = append(list, doc)
	}
}
