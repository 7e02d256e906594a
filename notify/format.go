package notify

import (
	"fmt"
	"regexp"
	"strings"
	"text/template"
	"time"
)

const (
	defaultFormat = "{{.|toJson}}" // CrowdSec compatible
	maxText       = 1 << 20        // bytes of a message
	maxRender     = 2 * time.Second
)

// format is a compiled template.
type format struct{ t *template.Template }

// compileFormat compiles a template, "" being the default.
func compileFormat(key, text string) (*format, error) {
	if text == "" {
		text = defaultFormat
	}
	b := &bounds{}
	t, err := template.New(key).Funcs(functions()).Funcs(b.functions()).Parse(text)
	if err != nil {
		if m := undefinedPattern.FindStringSubmatch(err.Error()); m != nil {
			if why := withheld[m[1]]; why != "" {
				return nil, fmt.Errorf("%s: the function %s is not available: %s", key, m[1], why)
			}
		}
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return &format{t}, nil
}

var undefinedPattern = regexp.MustCompile(`function "(\w+)" not defined`)

// render gives up when the text grows beyond 1 MiB or two seconds are over. Time
// is looked at whenever text is written or a list of numbers made.
func (f *format) render(data any) (string, error) {
	t, err := f.t.Clone()
	if err != nil {
		return "", fmt.Errorf("rendering: %w", err)
	}
	b := &bounds{deadline: time.Now().Add(maxRender)}
	if err := t.Funcs(b.functions()).Execute(b, data); err != nil {
		return "", fmt.Errorf("rendering: %w", err)
	}
	return b.text.String(), nil
}

// bounds is the text that is written, within its limits.
type bounds struct {
	text     strings.Builder
	deadline time.Time
}

// Write takes text while it fits.
func (b *bounds) Write(p []byte) (int, error) {
	if b.text.Len()+len(p) > maxText {
		return 0, fmt.Errorf("the text exceeds %d bytes", maxText)
	}
	if err := b.late(); err != nil {
		return 0, err
	}
	return b.text.Write(p)
}

func (b *bounds) late() error {
	if !b.deadline.IsZero() && time.Now().After(b.deadline) {
		return fmt.Errorf("it takes longer than %s", maxRender)
	}
	return nil
}
