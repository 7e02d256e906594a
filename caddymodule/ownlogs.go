package caddymodule

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/rampart-edge/rampart/appliance"
)

// ownLog is a file that this Caddy writes log entries to.
type ownLog struct {
	path   string // absolute
	layout string // of the time in the names of rolled files; empty: Caddy's own
}

// defaultLayout is the time in the name of a rolled log file, as Caddy has it.
const defaultLayout = "2006-01-02T15-04-05.000"

// logsOf lists the files that the loggers of a configuration write to. Log
// configuration is not among what Caddy shows to modules, so its fields are read
// by name; a test holds that they are still there. Standard output and error
// count too, for they may have been sent to a file.
func logsOf(ctx caddy.Context) []ownLog {
	var found []ownLog
	logging := field(reflect.ValueOf(ctx), "cfg", "Logging")
	if sink := field(logging, "Sink"); sink.IsValid() {
		found = appendWriter(found, sink)
	}
	if logs := field(logging, "Logs"); logs.Kind() == reflect.Map {
		for it := logs.MapRange(); it.Next(); {
			found = appendWriter(found, it.Value())
		}
	}
	for _, std := range []*os.File{os.Stdout, os.Stderr} {
		if info, err := std.Stat(); err == nil && info.Mode().IsRegular() {
			if name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", std.Fd())); err == nil {
				found = append(found, ownLog{path: name})
			}
		}
	}
	return found
}

// field follows struct fields by name through pointers and interfaces. The result
// is not valid when one is missing or nil.
func field(v reflect.Value, names ...string) reflect.Value {
	v = settle(v)
	for _, name := range names {
		if v.Kind() != reflect.Struct {
			return reflect.Value{}
		}
		v = settle(v.FieldByName(name))
	}
	return v
}

func settle(v reflect.Value) reflect.Value {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	return v
}

// appendWriter adds the file of a logger's writer, if it writes to one.
func appendWriter(list []ownLog, logger reflect.Value) []ownLog {
	name := field(logger, "writerOpener", "Filename")
	if name.Kind() != reflect.String || name.String() == "" {
		return list
	}
	path, err := filepath.Abs(name.String())
	if err != nil {
		return list
	}
	own := ownLog{path: path}
	if layout := field(logger, "writerOpener", "BackupTimeFormat"); layout.Kind() == reflect.String {
		own.layout = layout.String()
	}
	return append(list, own)
}

// refuseOwnLogs is an error if a source reads a file that this Caddy logs to:
// requests come in live already, and each is to count once.
func refuseOwnLogs(sources []appliance.SourceConfig, own []ownLog) error {
	for _, s := range sources {
		if s.Type != "file" {
			continue
		}
		var exclude []*regexp.Regexp
		for _, text := range s.Exclude {
			if re, err := regexp.Compile(text); err == nil { // Compile reports the others
				exclude = append(exclude, re)
			}
		}
		for _, pattern := range s.Paths {
			if log, hit := ownLogOf(pattern, exclude, own); hit {
				return fmt.Errorf("source file %s reads %s, which this Caddy writes to: its requests are seen live and would count twice; "+
					"remove the source, or exclude that file", pattern, log)
			}
		}
	}
	return nil
}

// ownLogOf returns the first of our own log files that a pattern reads.
func ownLogOf(pattern string, exclude []*regexp.Regexp, own []ownLog) (string, bool) {
	excluded := func(path string) bool {
		for _, re := range exclude {
			if re.MatchString(path) {
				return true
			}
		}
		return false
	}
	if abs, err := filepath.Abs(pattern); err == nil {
		pattern = abs
	}
	for _, log := range own {
		for _, name := range []string{log.path, log.rolled()} {
			if ok, err := filepath.Match(pattern, name); ok && err == nil && !excluded(name) {
				return name, true
			}
		}
	}
	files, err := filepath.Glob(pattern)
	if err != nil {
		return "", false // Compile reports the pattern
	}
	for _, file := range files {
		for _, log := range own {
			if !excluded(file) && sameFile(file, log.path) {
				return file, true
			}
		}
	}
	return "", false
}

// rolled is a name that the log file may get when it is rolled.
func (o ownLog) rolled() string {
	layout := o.layout
	if layout == "" {
		layout = defaultLayout
	}
	ext := filepath.Ext(o.path)
	return strings.TrimSuffix(o.path, ext) + "-" + layout + "-size" + ext
}

// sameFile sees through symbolic and hard links.
func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}
