//go:build !linux

package file

import (
	"hash/fnv"
	"io/fs"
	"os"
	"reflect"
)

// look describes the file at path, following symbolic links.
func look(path string) (info, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return info{}, err
	}
	return fromStat(path, fi), nil
}

// lookAt describes an open file.
func lookAt(f *os.File) (info, error) {
	fi, err := f.Stat()
	if err != nil {
		return info{}, err
	}
	return fromStat(f.Name(), fi), nil
}

// fromStat takes device and inode from the system's own structure by the names
// they have on every Unix. Where there are none, the path stands in for them and
// the content alone tells that a file was replaced.
func fromStat(path string, fi fs.FileInfo) info {
	in := info{size: fi.Size(), mtime: fi.ModTime(), mode: fi.Mode(), gid: -1}
	st := reflect.Indirect(reflect.ValueOf(fi.Sys()))
	if st.Kind() == reflect.Struct {
		in.id.Dev, in.id.Ino = number(st.FieldByName("Dev")), number(st.FieldByName("Ino"))
		if gid := st.FieldByName("Gid"); gid.IsValid() {
			in.gid = int(number(gid))
		}
	}
	if in.id.Ino == 0 {
		h := fnv.New64a()
		h.Write([]byte(path))
		in.id.Ino = h.Sum64()
	}
	return in
}

func number(v reflect.Value) uint64 {
	switch {
	case v.IsValid() && v.CanInt():
		return uint64(v.Int())
	case v.IsValid() && v.CanUint():
		return v.Uint()
	}
	return 0
}
