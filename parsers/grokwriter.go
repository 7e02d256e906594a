package parsers

import (
	"errors"
	"strings"
)

// grokWriter writes the regexp of an expanded pattern: references become groups,
// capturing only where a field needs the text, and the pattern author's own
// groups never capture.
type grokWriter struct {
	out    strings.Builder
	keep   map[*grokPart]string
	fields []grokField

	inClass bool // between [ and ]
	inQuote bool // between \Q and \E
	atStart bool // directly after [ or [^, where ] is an ordinary character
}

func (w *grokWriter) write(p *grokPart) error {
	for _, part := range p.parts {
		if !part.ref {
			w.text(part.text)
			continue
		}
		if w.inClass || w.inQuote {
			return errors.New("expanding grok: a reference stands inside a character class or a quotation")
		}
		if field, ok := w.keep[part]; ok {
			w.fields = append(w.fields, grokField{name: field, group: len(w.fields) + 1})
			w.out.WriteByte('(')
		} else {
			w.out.WriteString("(?:")
		}
		if err := w.write(part); err != nil {
			return err
		}
		w.out.WriteByte(')')
	}
	return nil
}

// text copies regexp syntax and turns every capturing group into a plain one.
func (w *grokWriter) text(s string) {
	for i := 0; i < len(s); {
		n := w.token(s[i:])
		i += n
	}
}

// token copies one token from the front of s and returns its length.
func (w *grokWriter) token(s string) int {
	if w.inQuote {
		return w.quoted(s)
	}
	if s[0] == '\\' && len(s) > 1 {
		w.inQuote = s[1] == 'Q' && !w.inClass
		w.atStart = false
		w.out.WriteString(s[:2])
		return 2
	}
	if w.inClass {
		return w.class(s)
	}
	switch {
	case strings.HasPrefix(s, "[^"):
		w.inClass, w.atStart = true, true
		w.out.WriteString("[^")
		return 2
	case s[0] == '[':
		w.inClass, w.atStart = true, true
	case strings.HasPrefix(s, "(?P<"), strings.HasPrefix(s, "(?<"):
		if end := strings.IndexByte(s, '>'); end > 0 {
			w.out.WriteString("(?:")
			return end + 1
		}
	case s[0] == '(' && !strings.HasPrefix(s, "(?"):
		w.out.WriteString("(?:")
		return 1
	}
	w.out.WriteByte(s[0])
	return 1
}

func (w *grokWriter) quoted(s string) int {
	if strings.HasPrefix(s, `\E`) {
		w.inQuote = false
		w.out.WriteString(`\E`)
		return 2
	}
	w.out.WriteByte(s[0])
	return 1
}

func (w *grokWriter) class(s string) int {
	if strings.HasPrefix(s, "[:") {
		if end := strings.Index(s, ":]"); end > 0 {
			w.atStart = false
			w.out.WriteString(s[:end+2])
			return end + 2
		}
	}
	if s[0] == ']' && !w.atStart {
		w.inClass = false
	}
	w.atStart = false
	w.out.WriteByte(s[0])
	return 1
}
