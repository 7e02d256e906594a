package file

import (
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const statxMask = unix.STATX_BASIC_STATS | unix.STATX_BTIME

// look describes the file at path, following symbolic links.
func look(path string) (info, error) {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, 0, statxMask, &st); err != nil {
		return info{}, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return fromStatx(&st), nil
}

// lookAt describes an open file.
func lookAt(f *os.File) (info, error) {
	var st unix.Statx_t
	raw, err := f.SyscallConn()
	if err != nil {
		return info{}, err
	}
	var serr error
	err = raw.Control(func(fd uintptr) {
		serr = unix.Statx(int(fd), "", unix.AT_EMPTY_PATH, statxMask, &st)
	})
	if err != nil {
		return info{}, err
	}
	if serr != nil {
		return info{}, &fs.PathError{Op: "stat", Path: f.Name(), Err: serr}
	}
	return fromStatx(&st), nil
}

func fromStatx(st *unix.Statx_t) info {
	in := info{
		id:    identity{Dev: unix.Mkdev(st.Dev_major, st.Dev_minor), Ino: st.Ino},
		size:  int64(st.Size),
		mtime: time.Unix(st.Mtime.Sec, int64(st.Mtime.Nsec)),
		mode:  fs.FileMode(st.Mode & 0o777),
		gid:   int(st.Gid),
	}
	if st.Mask&unix.STATX_BTIME != 0 {
		in.id.Born = st.Btime.Sec*1e9 + int64(st.Btime.Nsec)
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		in.mode |= fs.ModeDir
	default:
		in.mode |= fs.ModeIrregular
	}
	return in
}
