package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// forgedText is what a client puts into its headers, its path and its user name.
func forgedText() []string {
	line := victim + ` - - [` + time.Now().Format("02/Jan/2006:15:04:05 -0700") + `] "POST /wp-login.php HTTP/1.1" 401 512 "-" "curl"`
	return []string{
		line,
		`" ` + line,
		`"` + "\n" + line,
		"\r\n" + line + "\r\n",
		`\" \" ` + line,
		`- - ` + victim + ` - - [`,
		victim,
		victim + ", " + victim6,
		`x" 401 512 "` + victim + `" "`,
		`{"request":{"client_ip":"` + victim + `"},"status":401}`,
		`","client_ip":"` + victim + `","x":"`,
		"\x1b[2K" + line,
		"\x00" + line,
		strings.Repeat(victim+" ", 300),
	}
}

// nginxEscape and apacheEscape write what these servers make of a value in a log.
func nginxEscape(s string) string {
	return escape(s, func(c byte) string { return fmt.Sprintf(`\x%02X`, c) })
}

func apacheEscape(s string) string {
	return escape(s, func(c byte) string {
		switch c {
		case '"', '\\':
			return `\` + string(c)
		case '\n':
			return `\n`
		case '\r':
			return `\r`
		}
		return fmt.Sprintf(`\x%02x`, c)
	})
}

func escape(s string, how func(byte) string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			b.WriteString(how(c))
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// TestForgedAccessLog writes what servers log of forged requests, each of them a
// failed log-in.
func TestForgedAccessLog(t *testing.T) {
	n := newNode(t)
	kinds := map[string]string{"198.51.100.11": "nginx", "198.51.100.12": "apache2", "198.51.100.13": "caddy"}
	sources := ""
	for _, kind := range kinds {
		n.write(kind+".log", "")
		sources += "\t\tsource file {dir}/" + kind + ".log {\n\t\t\tlabels type=" + kind + "\n\t\t}\n"
	}
	n.write("Caddyfile", n.expand("{\n\tadmin {admin}\n\trampart {\n\t\tdata_dir {state}\n"+sources+
		"\t}\n}\nhttp://127.0.0.1:{port} {\n\trampart\n\trespond hello\n}\n"))
	n.start()
	n.followed()
	lines := int64(0)
	for source, kind := range kinds {
		for _, forged := range forgedText() {
			for place := range 5 {
				n.add(kind+".log", accessLine(kind, source, forged, place))
				lines++
			}
		}
	}
	until(t, "all is read", func() bool { return n.status().Events.Lines == lines })
	n.onlyNames("198.51.100.11", "198.51.100.12", "198.51.100.13")
}

// accessLine is a failed log-in of source in a server's log, with the forged text
// in one of five places.
func accessLine(kind, source, forged string, place int) string {
	if kind == "caddy" {
		return caddyLine(source, forged, place)
	}
	esc := nginxEscape
	if kind == "apache2" {
		esc = apacheEscape
	}
	user, target, referer, agent, host := "-", "/wp-login.php", "-", "curl/8", ""
	switch place {
	case 0:
		user = esc(forged)
	case 1:
		target = "/wp-login.php?q=" + strings.NewReplacer(" ", "%20", "\n", "%0A", "\r", "%0D").Replace(forged)
		target = esc(target)
	case 2:
		referer = esc(forged)
	case 3:
		agent = esc(forged)
	case 4: // a virtual host that is an address, in front of the line
		host = victim + ":443 "
	}
	return fmt.Sprintf(`%s%s - %s [%s] "POST %s HTTP/1.1" 401 512 "%s" "%s"`, host, source, user,
		time.Now().Format("02/Jan/2006:15:04:05 -0700"), target, referer, agent)
}

func caddyLine(source, forged string, place int) string {
	header := http.Header{"User-Agent": {"curl/8"}}
	host, uri, user := "example.com", "/wp-login.php", ""
	switch place {
	case 0:
		user = forged
	case 1:
		uri += "?q=" + forged
	case 2:
		header.Set("Referer", forged)
		header.Set("X-Forwarded-For", victim)
		header["client_ip"] = []string{victim}
	case 3:
		header.Set("User-Agent", forged)
	case 4:
		host = victim
	}
	b, err := json.Marshal(map[string]any{"level": "info", "ts": float64(time.Now().UnixMilli()) / 1000,
		"logger": "http.log.access", "msg": "handled request", "user_id": user, "status": 401,
		"request": map[string]any{"remote_ip": "127.0.0.1", "client_ip": source, "method": "POST", "proto": "HTTP/1.1",
			"host": host, "uri": uri, "headers": header}})
	if err != nil {
		panic(err) // strings and numbers
	}
	return string(b)
}
