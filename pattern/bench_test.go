package pattern_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/rampart-edge/rampart/pattern"
)

// cases are groks of the Hub and lines they are made for.
var cases = [...]struct{ name, file, with, line string }{
	{"nginx", "nginx-logs.yaml", "", `203.0.113.57 - - [24/Nov/2025:10:15:42 +0000] "GET /shop/item/4711?color=blue HTTP/1.1" 200 5316 "https://www.example.org/shop" "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"`},
	{"apache", "apache2-logs.yaml", "", `203.0.113.57 - - [24/Nov/2025:10:15:42 +0000] "GET /shop/item/4711?color=blue HTTP/1.1" 200 5316 "https://www.example.org/shop" "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"`},
	{"sshd", "sshd-logs.yaml", "Failed ", `Failed password for root from 198.51.100.23 port 51234 ssh2`},
	{"sshd-user", "sshd-logs.yaml", "Invalid user", `Invalid user webmaster from 173.234.31.186 port 38926`},
	{"syslog", "syslog-logs.yaml", "", `Nov 24 10:15:42 web-1 sshd[24200]: Failed password for root from 198.51.100.23 port 51234 ssh2`},
	{"iptables", "proxmox-iptables-logs.yaml", "", `0 3 PVEFW-HOST-IN 20/Jun/2025:13:09:14 +0200 policy DROP: IN=vmbr0.94 MAC=24:8a:07:9a:2a:f2:24:8a:07:50:2c:9e:08:00 SRC=198.51.100.23 DST=203.0.113.57 LEN=52 TOS=0x00 PREC=0xC0 TTL=255 ID=64317 DF PROTO=UDP SPT=49152 DPT=3784 LEN=32`},
}

// ways are the two to run an expression.
var ways = [...]struct {
	name    string
	compile func(string) (*pattern.Pattern, error)
}{{"fast", pattern.Compile}, {"regexp", pattern.CompilePlain}}

func compileAll(b *testing.B, exprs []string, compile func(string) (*pattern.Pattern, error)) (ps []*pattern.Pattern) {
	b.Helper()
	for _, expr := range exprs {
		p, err := compile(expr)
		if err != nil {
			b.Fatal(err)
		}
		ps = append(ps, p)
	}
	return ps
}

// pick returns the first grok of the file that has with in it, fields only, and
// that matches line.
func pick(b *testing.B, groks []grok, file, with, line string) string {
	b.Helper()
	for _, g := range groks {
		if g.where != file || !strings.Contains(g.expr, with) {
			continue
		}
		expr, err := bare(g.expr)
		if err != nil {
			b.Fatal(err)
		}
		if regexp.MustCompile(expr).MatchString(line) {
			return expr
		}
	}
	b.Fatalf("no grok of %s with %q matches %q", file, with, line)
	return ""
}

// BenchmarkFind measures the lines that the Hub's busiest groks are made for.
func BenchmarkFind(b *testing.B) {
	groks := hubGroks(b)
	for _, c := range cases {
		expr := pick(b, groks, c.file, c.with, c.line)
		for _, way := range ways {
			b.Run(c.name+"/"+way.name, func(b *testing.B) {
				p, err := way.compile(expr)
				if err != nil {
					b.Fatal(err)
				}
				at := make([]int, 2*(p.NumGroups()+1))
				b.ReportAllocs()
				for b.Loop() {
					if p.Find(c.line, at) == nil {
						b.Fatal("no match")
					}
				}
			})
		}
	}
}

// BenchmarkMiss asks all of sshd's groks about a line that is for none of them.
func BenchmarkMiss(b *testing.B) {
	var exprs []string
	for _, g := range hubGroks(b) {
		if expr, err := bare(g.expr); g.where == "sshd-logs.yaml" && err == nil {
			exprs = append(exprs, expr)
		}
	}
	line := "Accepted publickey for deploy from 203.0.113.57 port 51234 ssh2: ED25519 SHA256:abcdef"
	at := make([]int, 64)
	for _, way := range ways {
		b.Run(way.name, func(b *testing.B) {
			ps := compileAll(b, exprs, way.compile)
			for b.Loop() {
				for _, p := range ps {
					if p.Find(line, at) != nil {
						b.Fatal(p.String())
					}
				}
			}
		})
	}
}

// BenchmarkHostile measures long lines that are made to cost much.
func BenchmarkHostile(b *testing.B) {
	groks := hubGroks(b)
	for _, n := range []int{4 << 10, 64 << 10} {
		for _, c := range cases {
			expr := pick(b, groks, c.file, c.with, c.line)
			p, err := pattern.Compile(expr)
			if err != nil {
				b.Fatal(err)
			}
			for name, text := range map[string]string{
				"digits": strings.Repeat("1.", n/2), "words": strings.Repeat("a", n), "quotes": strings.Repeat(`" `, n/2),
				"head": strings.Repeat(c.line[:len(c.line)/2], 2*n/len(c.line)), "lines": strings.Repeat(c.line+" ", n/len(c.line)),
			} {
				b.Run(fmt.Sprintf("%s/%s/%d", c.name, name, n), func(b *testing.B) {
					at := make([]int, 2*(p.NumGroups()+1))
					b.SetBytes(int64(len(text)))
					for b.Loop() {
						p.Find(text, at)
					}
				})
			}
		}
	}
}

// BenchmarkCompile compiles all of the Hub's groks.
func BenchmarkCompile(b *testing.B) {
	var exprs []string
	for _, g := range hubGroks(b) {
		exprs = append(exprs, g.expr)
	}
	for _, way := range ways {
		b.Run(way.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				compileAll(b, exprs, way.compile)
			}
		})
	}
}
