package notify

import (
	"fmt"
	"html"
	"math"
	"os"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig/v3"
)

const (
	outside = "templates see nothing of the machine but its name"
	slow    = "it computes for long by design, and messages have no use for it"

	maxNumbers = 10_000 // in a list that a template makes
	maxRepeat  = 1 << 16
)

// withheld are functions that CrowdSec's templates have and ours have not, with
// the reason; read-only.
var withheld = map[string]string{
	"CrowdsecCTI": "it asks a service on the Internet about every source, and nothing here does; take it out of the template",

	"env":           outside + "; write ${NAME} in the YAML, which is replaced when the file is read",
	"expandenv":     outside + "; write ${NAME} in the YAML, which is replaced when the file is read",
	"getHostByName": outside + ", and a message must not wait for the DNS",

	"bcrypt": slow, "htpasswd": slow, "derivePassword": slow, "genPrivateKey": slow, "buildCustomCert": slow,
	"genCA": slow, "genCAWithKey": slow, "genSelfSignedCert": slow, "genSelfSignedCertWithKey": slow,
	"genSignedCert": slow, "genSignedCertWithKey": slow,
}

// functions are sprig's for texts without those withheld, and CrowdSec's own.
func functions() template.FuncMap {
	fs := sprig.TxtFuncMap()
	for name := range withheld {
		delete(fs, name)
	}
	fs["GetMeta"] = func(a *Alert, key string) []string { return a.GetMeta(key) }
	fs["Hostname"] = os.Hostname
	fs["HTMLEscape"] = html.EscapeString
	for _, name := range []string{"randAlpha", "randAlphaNum", "randAscii", "randNumeric", "randBytes"} {
		fs[name] = bounded(name, fs[name])
	}
	return fs
}

// bounded refuses to make more random text than a message can hold.
func bounded(name string, f any) any {
	check := func(n int) error {
		if n < 0 || n > maxRepeat {
			return fmt.Errorf("%s %d: expected 0 to %d", name, n, maxRepeat)
		}
		return nil
	}
	switch f := f.(type) {
	case func(int) string:
		return func(n int) (string, error) {
			if err := check(n); err != nil {
				return "", err
			}
			return f(n), nil
		}
	case func(int) (string, error):
		return func(n int) (string, error) {
			if err := check(n); err != nil {
				return "", err
			}
			return f(n)
		}
	}
	return f
}

// functions are those of sprig that could make something huge of a small number,
// with a bound. They look at the clock, too: loops in loops run over such lists.
func (b *bounds) functions() template.FuncMap {
	return template.FuncMap{
		"repeat":  b.repeat,
		"indent":  func(n int, s string) (string, error) { return b.indent("", n, s) },
		"nindent": func(n int, s string) (string, error) { return b.indent("\n", n, s) },
		"until":   func(n int) ([]int, error) { return b.numbers(0, n, sign(n)) },
		"untilStep": func(start, stop, step int) ([]int, error) {
			return b.numbers(start, stop, step)
		},
		"seq": b.seq,
	}
}

func sign(n int) int {
	if n < 0 {
		return -1
	}
	return 1
}

func (b *bounds) repeat(n int, s string) (string, error) {
	if n < 0 || n > maxText/max(len(s), 1) {
		return "", fmt.Errorf("repeat %d: the text does not fit into %d bytes", n, maxText)
	}
	return strings.Repeat(s, n), b.late()
}

func (b *bounds) indent(before string, n int, s string) (string, error) {
	if n < 0 || n > maxText/(strings.Count(s, "\n")+1) {
		return "", fmt.Errorf("indent %d: the text does not fit into %d bytes", n, maxText)
	}
	pad := strings.Repeat(" ", n)
	return before + pad + strings.ReplaceAll(s, "\n", "\n"+pad), b.late()
}

// numbers counts from start by step and stops before stop.
func (b *bounds) numbers(start, stop, step int) ([]int, error) {
	var list []int
	if step == 0 || step > 0 != (start < stop) {
		return list, b.late()
	}
	for v := start; step > 0 == (v < stop) && v != stop; v += step {
		if len(list) == maxNumbers {
			return nil, fmt.Errorf("a list of more than %d numbers", maxNumbers)
		}
		list = append(list, v)
		if step > 0 && v > math.MaxInt-step || step < 0 && v < math.MinInt-step {
			break
		}
	}
	return list, b.late()
}

// seq is that of the shell: last; first last; first step last. As text.
func (b *bounds) seq(args ...int) (string, error) {
	first, step, last := 1, 0, 0
	switch len(args) {
	case 1:
		last = args[0]
	case 2:
		first, last = args[0], args[1]
	case 3:
		first, step, last = args[0], args[1], args[2]
	default:
		return "", nil
	}
	if step == 0 {
		step = sign(last - first)
	}
	list, err := b.numbers(first, last+sign(step), step)
	return strings.Trim(fmt.Sprint(list), "[]"), err
}
