package community

import (
	"io"
	"strings"
	"testing"
)

func TestCSV(t *testing.T) {
	long := strings.Repeat("x", maxLine+10)
	for name, c := range map[string]struct{ text, delimiter, column, want, err string }{
		"named":             {"id,ip,note\n1,192.0.2.1,a\n2,192.0.2.2,b\n", "", "ip", "192.0.2.1 192.0.2.2", ""},
		"named in capitals": {"id;IP\n1;192.0.2.1\n", "", "ip", "192.0.2.1", ""},
		"numbered":          {"1,192.0.2.1\n2,192.0.2.2\n", "", "2", "192.0.2.1 192.0.2.2", ""},
		"numbered, titled":  {"id,ip\n1,192.0.2.1\n", "", "2", "192.0.2.1", ""},
		"found":             {"# made today\n\nid|net\nx|192.0.2.0/24\ny|2001:db8::1\n", "", "", "192.0.2.0/24 2001:db8::1", ""},
		"tabs":              {"192.0.2.1\tx,y\n192.0.2.2\tz,w\n", "", "", "192.0.2.1 192.0.2.2", ""},
		"quotes":            {"\"a, b\",\"192.0.2.1\"\n\"c\" , \"192.0.2.2\"\n", "", "", "192.0.2.1 192.0.2.2", ""},
		"given delimiter":   {"a:192.0.2.1\n", ":", "2", "192.0.2.1", ""},
		"tab by name":       {"a\t192.0.2.1\n", "tab", "2", "192.0.2.1", ""},
		"short lines":       {"a,192.0.2.1\nb\nc,192.0.2.3\n", "", "2", "192.0.2.1  192.0.2.3", ""},
		"no newline at end": {"a,192.0.2.1", "", "", "192.0.2.1", ""},
		"carriage returns":  {"ip,n\r\n192.0.2.1,1\r\n", "", "ip", "192.0.2.1", ""},
		"marked":            {"\ufeffip,n\n192.0.2.1,1\n", "", "ip", "192.0.2.1", ""},
		"a quote too many":  {"192.0.2.1,\"x\n192.0.2.2,y\n", "", "1", "192.0.2.1 192.0.2.2", ""},
		"a long line":       {"a,192.0.2.1\n" + long + ",192.0.2.2\nb,192.0.2.3\n", "", "2", "192.0.2.1  192.0.2.3", ""},
		"one column":        {"192.0.2.1\n192.0.2.2\n", "", "", "192.0.2.1 192.0.2.2", ""},
		"empty":             {"", "", "", "", ""},
		"no such column":    {"a,b\n1,2\n", "", "ip", "", "no column"},
		"no addresses":      {"a,b\n1,2\n", "", "", "", "no column has addresses"},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := newFormat(FormatCSV, c.delimiter, c.column)
			must(t, err)
			r, err := f.lines(strings.NewReader(c.text))
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("got %v, want something about %q", err, c.err)
				}
				return
			}
			must(t, err)
			got, err := io.ReadAll(r)
			must(t, err)
			if text := strings.ReplaceAll(strings.TrimSuffix(string(got), "\n"), "\n", " "); text != c.want {
				t.Errorf("got %q, want %q", text, c.want)
			}
		})
	}
}
