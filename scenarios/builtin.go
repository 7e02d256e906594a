package scenarios

import (
	"embed"
	"io/fs"
)

//go:embed builtin/*/*.yaml
var builtin embed.FS

// Builtin returns our own scenarios: <collection>/<name>.yaml.
func Builtin() fs.FS {
	sub, err := fs.Sub(builtin, "builtin")
	if err != nil {
		// Only an invalid name is an error.
		return builtin
	}
	return sub
}
