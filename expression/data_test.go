package expression_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"gopkg.in/yaml.v3"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
)

func TestDataFiles(t *testing.T) {
	data := fstest.MapFS{
		"words.txt":  {Data: []byte("# comment\n\nadmin\n space \r\nlast")},
		"agents.txt": {Data: []byte("^bad\n#x\n(?i)worse$\n")},
		"sub/tags.txt": {Data: []byte(`{"pattern":"/a","tag":"short","type":"contains"}` + "\n" +
			`{"pattern":"/ab","tag":"longer","type":"contains"}` + "\n" +
			`{"pattern":"b/","tag":"right","type":"contains"}` + "\n" +
			`{"pattern":"/xy","tag":"xy","type":"contains"}` + "\n" +
			`{"pattern":"/x","tag":"x","type":"contains"}` + "\n" +
			`{"pattern":"/ab","tag":"old","type":"equals"}` + "\n" +
			`{"pattern":"/ab","tag":"exact","type":"equals","note":"last counts"}` + "\n" +
			`{"pattern":"^z+$","tag":"re","type":"regex"}` + "\n" +
			`{"pattern":"z","tag":"re2","type":"regex"}` + "\n")},
	}
	env := expression.New(expression.Options{Data: data})
	for _, d := range []expression.DataFile{
		{DestFile: "words.txt", Type: "string"}, {DestFile: "agents.txt", Type: "regex"},
		{DestFile: "sub/tags.txt", Type: "map"}, {DestFile: "geo.mmdb"},
		{DestFile: "words.txt", Type: "regexp"}, // the first counts
	} {
		if err := env.AddData(d); err != nil {
			t.Errorf("%+v: %v", d, err)
		}
	}
	check(t, env, onRequest, [][2]any{
		{`File('words.txt')`, []string{"admin", " space ", "last"}},
		{`any(File('words.txt'), {evt.Meta.http_path contains #})`, false},
		{`File('none.txt')`, []string{}},
		{`File('agents.txt')`, []string{}},
		{`RegexpInFile('bad bot', 'agents.txt')`, true},
		{`RegexpInFile('much WORSE', 'agents.txt')`, true},
		{`RegexpInFile('good', 'agents.txt')`, false},
		{`RegexpInFile('admin', 'words.txt')`, false},
		{`RegexpInFile('x', 'none.txt')`, false},
		{`LookupFile('/ab', 'sub/tags.txt')`, "exact"},
		{`LookupFile('/abc', 'sub/tags.txt')`, "short"}, // both start at 0, the first in the file counts
		{`LookupFile('b/abc', 'sub/tags.txt')`, "right"},
		{`LookupFile('/xyz', 'sub/tags.txt')`, "xy"},
		{`LookupFile('/xz', 'sub/tags.txt')`, "x"},
		{`LookupFile('/AB', 'sub/tags.txt')`, ""},
		{`LookupFile('zz', 'sub/tags.txt')`, "re"},
		{`LookupFile('yz', 'sub/tags.txt')`, "re2"},
		{`LookupFile('', 'sub/tags.txt')`, ""},
		{`LookupFile('x', 'none.txt')`, ""},
		{`len(FileMap('sub/tags.txt'))`, 9},
		{`FileMap('sub/tags.txt')[6].note`, "last counts"},
		{`FileMap('none.txt')`, []map[string]string{}},
	})
}

// huge is a file of zeros that is larger than any data file may be.
type huge struct{ left int64 }

func (h *huge) Open(string) (fs.File, error) { return &huge{left: 64<<20 + 1}, nil }
func (h *huge) Stat() (fs.FileInfo, error)   { return nil, fs.ErrInvalid }
func (h *huge) Close() error                 { return nil }
func (h *huge) Read(p []byte) (int, error) {
	if h.left == 0 {
		return 0, errors.New("read too far")
	}
	n := min(int64(len(p)), h.left)
	clear(p[:n])
	h.left -= n
	return int(n), nil
}

func TestDataFaults(t *testing.T) {
	data := fstest.MapFS{
		"re.txt":  {Data: []byte("good\n(\nfine\n")},
		"map.txt": {Data: []byte("{\n" + `{"pattern":"a","tag":"","type":"equals"}` + "\n" + `{"pattern":"a","tag":"t","type":"glob"}` + "\n" + `{"pattern":"b","tag":"t","type":"equals"}` + "\n")},
	}
	for _, c := range []struct {
		name    string
		fs      fs.FS
		file    expression.DataFile
		missing bool
		want    string
	}{
		{"missing", data, expression.DataFile{DestFile: "no.txt", Type: "string"}, true, "loading data file no.txt: data file does not exist: install"},
		{"no folder", nil, expression.DataFile{DestFile: "no.txt", Type: "string"}, true, "there is no data folder"},
		{"outside", data, expression.DataFile{DestFile: "../etc/passwd", Type: "string"}, false, "must be a path below the data folder"},
		{"absolute", data, expression.DataFile{DestFile: "/etc/passwd", Type: "string"}, false, "must be a path below the data folder"},
		{"no name", data, expression.DataFile{Type: "string"}, false, "must be a path below the data folder"},
		{"type", data, expression.DataFile{DestFile: "re.txt", Type: "glob"}, false, `unknown type "glob": use string, regexp, map or bots`},
		{"pattern", data, expression.DataFile{DestFile: "re.txt", Type: "regexp"}, false, "re.txt:2: error parsing regexp"},
		{"rows", data, expression.DataFile{DestFile: "map.txt", Type: "map"}, false, `map.txt:3: unknown type "glob"`},
		{"size", &huge{}, expression.DataFile{DestFile: "huge.txt", Type: "string"}, false, "larger than 64 MiB"},
	} {
		t.Run(c.name, func(t *testing.T) {
			env := expression.New(expression.Options{Data: c.fs})
			err := env.AddData(c.file)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
			if errors.Is(err, expression.ErrNoDataFile) != c.missing {
				t.Errorf("ErrNoDataFile: %v", err)
			}
		})
	}
	env := expression.New(expression.Options{Data: data})
	_ = env.AddData(expression.DataFile{DestFile: "re.txt", Type: "regexp"})
	_ = env.AddData(expression.DataFile{DestFile: "map.txt", Type: "map"})
	check(t, env, onRequest, [][2]any{ // the good lines of bad files
		{`RegexpInFile('so fine', 're.txt')`, true},
		{`LookupFile('b', 'map.txt')`, "t"},
	})
}

// Find says where a file is; without it the dest_file is the path.
func TestDataFind(t *testing.T) {
	data := fstest.MapFS{"web/words.txt": {Data: []byte("deep\n")}, "words.txt": {Data: []byte("flat\n")}}
	env := expression.New(expression.Options{Data: data, Find: func(d expression.DataFile) string {
		return strings.TrimPrefix(d.SourceURL, "https://example.org/")
	}})
	for _, d := range []expression.DataFile{
		{DestFile: "words.txt", SourceURL: "https://example.org/web/words.txt", Type: "string"},
		{DestFile: "bad.txt", SourceURL: "https://example.org/../bad.txt", Type: "string"},
		{DestFile: "gone.txt", Type: "string"},
	} {
		err := env.AddData(d)
		if d.DestFile == "words.txt" && err != nil || d.DestFile == "gone.txt" && !errors.Is(err, expression.ErrNoDataFile) ||
			d.DestFile == "bad.txt" && (err == nil || errors.Is(err, expression.ErrNoDataFile)) {
			t.Errorf("%+v: %v", d, err)
		}
	}
	check(t, env, onRequest, [][2]any{{`File('words.txt')`, []string{"deep"}}, {`File('gone.txt')`, []string{}}})
}

// A file that many items name and that is not there is one fault; it counts once it
// has come.
func TestMissingOnce(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	data := fstest.MapFS{}
	env := expression.New(expression.Options{Data: data, Logger: zap.New(core)})
	words := expression.DataFile{DestFile: "words.txt", Type: "string"}
	if err := env.AddData(words); !errors.Is(err, expression.ErrNoDataFile) {
		t.Error(err)
	}
	for range 3 {
		if err := env.AddData(words); err != nil {
			t.Error(err)
		}
	}
	check(t, env, onRequest, [][2]any{{`File('words.txt')`, []string{}}, {`RegexpInFile('a', 'words.txt')`, false}})
	if n := logs.Len(); n != 0 {
		t.Errorf("%d warnings about what AddData has said", n)
	}
	check(t, env, onRequest, [][2]any{{`File('other.txt')`, []string{}}, {`File('other.txt')`, []string{}}})
	if n := logs.Len(); n != 1 {
		t.Errorf("%d warnings about a file that no item names", n)
	}
	data["words.txt"] = &fstest.MapFile{Data: []byte("here\n")}
	if err := env.AddData(words); err != nil {
		t.Error(err)
	}
	check(t, env, onRequest, [][2]any{{`File('words.txt')`, []string{"here"}}})
}

// Whatever a line says, it is a row or an error.
func FuzzMapLine(f *testing.F) {
	f.Add(`{"pattern":"a","tag":"t","type":"equals"}`, "a")
	f.Add(`{"pattern":"b","tag":"t","type":"contains"}`, "abc")
	f.Add(`{"pattern":"^c+$","tag":"t","type":"regex","note":"x"}`, "cc")
	f.Add(`{"pattern":1}`, "")
	f.Fuzz(func(t *testing.T, line, text string) {
		env := expression.New(expression.Options{Data: fstest.MapFS{"m": {Data: []byte(line)}}})
		err := env.AddData(expression.DataFile{DestFile: "m", Type: "map"})
		v := &expression.Vars{Evt: &event.Event{Line: event.Line{Raw: text}}}
		got, failure := evaluate(t, env, `LookupFile(evt.Line.Raw, 'm')`, v)
		rows, _ := evaluate(t, env, `FileMap('m')`, v)
		if failure != nil || got != "" && len(rows.([]map[string]string)) == 0 {
			t.Errorf("%q: %v, %v (%v)", line, got, failure, err)
		}
	})
}

func TestDataFileYAML(t *testing.T) {
	var got []expression.DataFile
	err := yaml.Unmarshal([]byte("- source_url: https://example.org/a\n  dest_file: a.txt\n  type: regexp\n  cache: false\n  strategy: LRU\n  size: 40\n  ttl: 10s\n"), &got)
	if err != nil {
		t.Fatal(err)
	}
	off := false
	want := []expression.DataFile{{SourceURL: "https://example.org/a", DestFile: "a.txt", Type: "regexp", Cache: &off, Strategy: "LRU", Size: 40, TTL: 10 * time.Second}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// A cached answer must be the answer: the cache is asked beside one without.
func TestRegexpCacheAgrees(t *testing.T) {
	data := fstest.MapFS{"re.txt": {Data: []byte("^a\nb$\n")}}
	plain := expression.New(expression.Options{Data: data})
	cached := expression.New(expression.Options{Data: data})
	if err := errors.Join(
		plain.AddData(expression.DataFile{DestFile: "re.txt", Type: "regexp"}),
		cached.AddData(expression.DataFile{DestFile: "re.txt", Type: "regexp", Strategy: "LRU", Size: 3, TTL: time.Minute}),
	); err != nil {
		t.Fatal(err)
	}
	for _, text := range strings.Fields("a b c ab ba a c x a b c d e f a ab ab") {
		v := &expression.Vars{Evt: &event.Event{Line: event.Line{Raw: text}}}
		want, err1 := evaluate(t, plain, `RegexpInFile(evt.Line.Raw, 're.txt')`, v)
		got, err2 := evaluate(t, cached, `RegexpInFile(evt.Line.Raw, 're.txt')`, v)
		if err1 != nil || err2 != nil || want != got {
			t.Errorf("%s: %v %v, cached %v %v", text, want, err1, got, err2)
		}
	}
}
