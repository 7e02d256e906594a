package parsers

import (
	"embed"
	"io/fs"
)

//go:embed builtin
var builtinFiles embed.FS

// Builtin returns the parsers that ship with Rampart, as <stage>/<name>.yaml.
func Builtin() fs.FS {
	sub, err := fs.Sub(builtinFiles, "builtin")
	if err != nil {
		return builtinFiles // not reached: the folder is embedded above
	}
	return sub
}
