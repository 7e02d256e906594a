package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/decisions"
)

// victim is the third party that everything here tries to get banned.
const (
	victim  = "203.0.113.9"
	victim6 = "2001:db8:bad::9"
)

// onlyNames checks that every alert and decision of the node is about one of the
// true sources, that these were all caught, and that no event kept as evidence
// came from anybody else.
func (n *node) onlyNames(sources ...string) {
	n.t.Helper()
	for _, s := range sources {
		until(n.t, s+" is caught", func() bool { return len(n.alerts("value="+s)) > 0 })
	}
	until(n.t, "nothing is left to do", func() bool { return n.status().Events.Queued == 0 })
	for _, a := range n.alerts("limit=10000") {
		if !slices.Contains(sources, a.GetValue()) || !slices.Contains(sources, a.Source.IP) {
			n.t.Errorf("an alert names %s: %s", a.GetValue(), a.Message)
		}
		for _, e := range a.Events {
			if ip := e.GetMeta("source_ip"); !slices.Contains(sources, ip) {
				n.t.Errorf("%s has an event of %s: %+v", a.Scenario, ip, e)
			}
		}
	}
	for _, d := range ask[[]decisions.Decision](n, "GET", "/rampart/decisions?all=true", nil) {
		if !slices.ContainsFunc(sources, func(s string) bool { return covers(d.Value, s) }) || covers(d.Value, victim) || covers(d.Value, victim6) {
			n.t.Errorf("decided: %s of %s for %s", d.Type, d.Value, d.Scenario)
		}
	}
}

// covers: value, an address or a network, holds the address.
func covers(value, address string) bool {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return false
	}
	if p, err := netip.ParsePrefix(value); err == nil {
		return p.Contains(a)
	}
	v, err := netip.ParseAddr(value)
	return err == nil && v == a
}

// forgedNames are SSH user names that look like the rest of a line.
func forgedNames() []string {
	var names []string
	for _, ip := range []string{victim, victim6} {
		names = append(names,
			"x from "+ip+" port 22 ssh2",
			"x from "+ip+" port 22 ssh2: RSA SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
			"x from "+ip,
			"from "+ip+" port 22",
			"invalid user root from "+ip+" port 22 ssh2",
			"root from "+ip+" port 22 ssh2 Failed password for root from "+ip+" port 22 ssh2",
			`x from `+ip+` port 22 ssh2\nFailed password for root from `+ip+` port 22 ssh2`,
			`x from `+ip+` port 22 ssh2#012Nov 24 07:00:00 host sshd[1]: Failed password for root from `+ip+` port 22 ssh2`,
			"x "+ip+" port 22 [preauth]",
			"x; logname= uid=0 euid=0 tty=ssh ruser= rhost="+ip,
			"rhost="+ip+" ",
			" ",
			"",
			ip,
			strings.Repeat("a from "+ip+" port 22 ssh2 ", 60),
			"x from "+ip+" port 22 ssh2\tfrom",
			"x from "+ip+" port 22 ssh2 from \x80\xff",
		)
	}
	return names
}

// sshForms are the lines in which sshd repeats what the client sent as its name;
// %[1]s is the name, %[2]s the true source.
var sshForms = []string{
	"Failed password for invalid user %[1]s from %[2]s port 40022 ssh2",
	"Failed password for %[1]s from %[2]s port 40022 ssh2",
	"Failed none for invalid user %[1]s from %[2]s port 40022 ssh2",
	"Failed publickey for %[1]s from %[2]s port 40022 ssh2: RSA SHA256:abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ",
	"Failed publickey for %[1]s from %[2]s port 40022 ssh2: ED25519-CERT SHA256:abc ID %[1]s (serial 0) CA ED25519 SHA256:def",
	`Failed hostbased for %[1]s from %[2]s port 40022 ssh2: RSA SHA256:abc, client user "%[1]s", client host "%[1]s"`,
	"Invalid user %[1]s from %[2]s port 40022",
	"Invalid user %[1]s from %[2]s",
	"message repeated 3 times: [ Failed password for invalid user %[1]s from %[2]s port 40022 ssh2]",
	"pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=%[2]s  user=%[1]s",
	"error: PAM: Authentication failure for illegal user %[1]s from %[2]s",
	"error: maximum authentication attempts exceeded for invalid user %[1]s from %[2]s port 40022 ssh2 [preauth]",
	"Connection closed by invalid user %[1]s %[2]s port 40022 [preauth]",
	"Disconnecting invalid user %[1]s %[2]s port 40022: Too many authentication failures [preauth]",
	"Bad protocol version identification '%[1]s' from %[2]s port 40022",
	"Received disconnect from %[2]s port 40022:11: %[1]s [preauth]",
	"Received disconnect from %[2]s port 40022:11: Failed password for %[1]s from %[2]s port 40022 ssh2",
	"banner exchange: Connection from %[2]s port 40022: %[1]s",
	"Unable to negotiate with %[2]s port 40022: no matching key exchange method found. Their offer: %[1]s [preauth]",
	"error: Received disconnect from %[2]s port 40022:3: com.jcraft.jsch.JSchException: %[1]s",
	"reverse mapping checking getaddrinfo for %[1]s [%[2]s] failed.",
	"Address %[2]s maps to %[1]s, but this does not map back to the address.",
}

// each calls fn with every message that a form and a name make.
func forgedMessages(source string, fn func(message string)) {
	for _, form := range sshForms {
		for _, name := range forgedNames() {
			fn(fmt.Sprintf(form, name, source))
		}
	}
}

// TestForgedSSH lets one source per log form send every forged name.
func TestForgedSSH(t *testing.T) {
	n := newNode(t)
	headers := map[string]string{} // true source → line without its message
	add := func(source, header string) {
		headers[source] = header
	}
	now := time.Now()
	add("198.51.100.1", now.Format(time.Stamp)+" host sshd[4242]: ")
	add("198.51.100.2", now.Format(time.RFC3339Nano)+" host sshd-session[4242]: ")
	add("198.51.100.3", "<38>1 "+now.Format("2006-01-02T15:04:05.000000Z07:00")+` host sshd 4242 - [x@1 y="\"]"] `)
	add("198.51.100.4", "<38>"+now.Format(time.Stamp)+" host sshd[4242]: ")
	n.write("auth.log", "")
	n.write("Caddyfile", n.expand(`{
	admin {admin}
	rampart {
		data_dir {state}
		source file {dir}/auth.log
		source journald {
			match _COMM=sshd
		}
	}
}
http://127.0.0.1:{port} {
	rampart
	respond "hello"
}
`))
	const journal = "198.51.100.5"
	n.fakeJournal(journalEntries(journal))
	n.start()
	n.followed()
	lines := 0
	for source, header := range headers {
		forgedMessages(source, func(m string) {
			n.add("auth.log", header+m)
			lines++
		})
	}
	until(t, "all is read", func() bool {
		for _, s := range n.status().Sources {
			if s.Type == "file" {
				return s.Lines == int64(lines)
			}
		}
		return false
	})
	n.onlyNames("198.51.100.1", "198.51.100.2", "198.51.100.3", "198.51.100.4", journal)
	if len(n.decided(journal)) == 0 {
		t.Error("the source in the journal is not banned")
	}
}

// fakeJournal puts a journalctl before the real one, which prints entries once.
func (n *node) fakeJournal(entries []string) {
	n.t.Helper()
	n.write("journal.json", strings.Join(entries, "\n")+"\n")
	n.write("bin/journalctl", "#!/bin/sh\ncat '"+n.path("journal.json")+"'\nexec sleep 600\n")
	if err := os.Chmod(n.path("bin/journalctl"), 0o755); err != nil {
		n.t.Fatal(err)
	}
	n.t.Setenv("PATH", n.path("bin")+string(filepath.ListSeparator)+os.Getenv("PATH"))
}

// journalEntries are the forged messages as the journal has them: line breaks and
// all, as text, as bytes, as one of several values.
func journalEntries(source string) []string {
	var out []string
	add := func(message any) {
		b, err := json.Marshal(map[string]any{"__CURSOR": fmt.Sprintf("s=%d", len(out)), "_COMM": "sshd", "_PID": "77",
			"SYSLOG_IDENTIFIER": "sshd", "_HOSTNAME": "host", "MESSAGE": message,
			"__REALTIME_TIMESTAMP": fmt.Sprint(time.Now().UnixMicro())})
		if err != nil {
			panic(err) // strings and numbers
		}
		out = append(out, string(b))
	}
	bytesOf := func(s string) (b []int) {
		for i := range len(s) {
			b = append(b, int(s[i]))
		}
		return b
	}
	forgedMessages(source, func(m string) {
		add(m)
		add(strings.ReplaceAll(m, `\n`, "\n"))
		add(bytesOf(strings.ReplaceAll(m, `\n`, "\r\n")))
		add([]string{m, "Failed password for root from " + victim + " port 22 ssh2"})
	})
	whole := "Failed password for root from " + victim + " port 22 ssh2"
	for _, sep := range []string{"\n", "\r", "\u2028", "\x00", "\n\n" + time.Now().Format(time.Stamp) + " host sshd[1]: "} {
		add("Failed password for invalid user x" + sep + whole + sep + " from " + source + " port 40022 ssh2")
		add("Connection closed by " + source + " port 40022" + sep + whole)
		add("Invalid user" + sep + whole + sep + "from " + source + " port 40022")
	}
	// The same in the fields around the message.
	for _, key := range []string{"SYSLOG_IDENTIFIER", "_HOSTNAME", "SYSLOG_PID"} {
		b, err := json.Marshal(map[string]any{"__CURSOR": "s=" + key, "_COMM": "sshd", "MESSAGE": "hello",
			key: "sshd[1]: " + whole + "\nsshd"})
		if err != nil {
			panic(err)
		}
		out = append(out, string(b))
	}
	return out
}

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

// forwarded is a site behind a trusted proxy that answers every log-in with 401.
const forwarded = `{
	admin {admin}
	servers {
		trusted_proxies static 127.0.0.1/32 198.18.0.0/15
		trusted_proxies_strict
	}
	rampart {
		data_dir {state}
		allow 192.0.2.0/25 2001:db8:a11::/48
		source file {dir}/auth.log
	}
}
http://127.0.0.1:{port} {
	rampart
	respond /wp-login.php 401
	respond "hello"
}
`

// TestForgedForwarding sends log-ins through the trusted proxy, which appends the
// true client to what the client says itself.
func TestForgedForwarding(t *testing.T) {
	n := newNode(t)
	n.write("auth.log", "")
	n.write("Caddyfile", n.expand(forwarded))
	n.start()
	long := strings.TrimSuffix(strings.Repeat(victim+", ", 100), ", ")
	junk := strings.TrimSuffix(strings.Repeat(`unknown, "_x", [::1%25lo]:1, 999.1.1.1, fe80::1%eth0, ::ffff:`+victim+", ", 17), ", ")
	var sources []string
	for i, c := range []struct{ before, after string }{
		{victim + ", ", ""},
		{victim + ",", ""},
		{victim + ", 198.18.0.7, ", ""},
		{victim + ", ", ", 198.18.0.7, 198.18.0.8"},
		{long + ", ", ""},
		{junk + ", ", ""},
		{strings.Repeat("x", 8000) + ", ", ""},
		{", , " + victim + " , ,, ", ""},
		{victim + ":443, ", ":52311"},
		{victim + ", ::ffff:", ""},
		{victim6 + ", ", " "},
		{"\t" + victim + ",\t", ""},
		{victim + "\x80, ", ""},
	} {
		source := fmt.Sprintf("198.51.100.%d", 20+i)
		sources = append(sources, source)
		n.logIn(t, c.before+source+c.after, "X-Real-IP", victim, "Forwarded", "for="+victim, "CF-Connecting-IP", victim,
			"True-Client-IP", victim, "Client-IP", victim, "X-Client-IP", victim, "X-Cluster-Client-IP", victim)
	}
	// The true client in a header line of its own, behind the client's.
	sources = append(sources, "198.51.100.50", "2001:db8:7::1")
	n.logIn(t, victim, "+X-Forwarded-For", "198.51.100.50")
	n.logIn(t, victim, "+X-Forwarded-For", "[2001:db8:7::1]:4000")
	n.onlyNames(sources...)
	for _, s := range sources {
		if len(n.decided(s)) == 0 {
			t.Errorf("nothing is decided about %s", s)
		}
	}
}

// TestForgedNameless: what stands left of an entry that is no address may be the
// client's own word, even though the proxy is trusted. Then nobody is named, and
// the requests are counted.
func TestForgedNameless(t *testing.T) {
	n := newNode(t)
	n.write("auth.log", "")
	n.write("Caddyfile", n.expand(forwarded))
	n.start()
	for _, after := range []string{", unknown", ", unix:", ", _hidden, 198.18.0.7", `, "`, ", 300.1.1.1", ", -"} {
		n.logIn(t, victim+after)
	}
	until(t, "the requests are counted", func() bool { return n.status().Requests.Unknown == 6*7 })
	n.logIn(t, victim+", 198.51.100.70") // and a source that is named, to compare
	n.onlyNames("198.51.100.70")
}

// logIn fails to log in seven times.
func (n *node) logIn(t *testing.T, forwarded string, header ...string) {
	t.Helper()
	for range 7 {
		req, err := http.NewRequest("POST", n.url+"/wp-login.php", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Forwarded-For", forwarded)
		for i := 0; i+1 < len(header); i += 2 {
			if name, ok := strings.CutPrefix(header[i], "+"); ok {
				req.Header.Add(name, header[i+1])
			} else {
				req.Header.Set(header[i], header[i+1])
			}
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatalf("%.60q: %v", forwarded, err)
		}
		resp.Body.Close()
	}
}

// TestForgedPeer: who is not a trusted proxy names nobody. The true source here is
// another address of loopback, which cannot be banned; it is what the alert names.
func TestForgedPeer(t *testing.T) {
	n := newNode(t)
	n.write("auth.log", "")
	n.write("Caddyfile", n.expand(forwarded))
	n.start()
	for i := range 7 {
		for _, target := range []string{"/wp-login.php", "/wp-login.php?a=%0AX-Forwarded-For:%20" + victim, "/wp-login.php?" + victim} {
			head := "POST " + target + " HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-For: " + victim + "\r\nConnection: close\r\n"
			if got := n.raw(t, "127.0.0.2", head+"\r\n"); !strings.HasPrefix(got, "HTTP/1.1 401") {
				t.Errorf("attempt %d got %.60q", i, got)
			}
		}
		// A line break in the target or in a header makes the request malformed.
		for _, head := range []string{
			"POST /wp-login.php\n HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: " + victim + "\r\n",
			"POST /wp-login.php\r HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: " + victim + "\r\n",
			"POST /wp-login.php HTTP/1.1\r\nHost: a\r\nUser-Agent: x\r" + victim + "\r\n",
		} {
			if got := n.raw(t, "127.0.0.2", head+"\r\n"); !strings.HasPrefix(got, "HTTP/1.1 400") {
				t.Errorf("%q got %.60q", head, got)
			}
		}
	}
	n.onlyNames("127.0.0.2")
	if ds := n.decided("127.0.0.2"); slices.ContainsFunc(ds, func(d decisions.Decision) bool { return !d.Suppressed }) {
		t.Errorf("loopback: %+v", ds)
	}
}

// raw sends bytes from an address of loopback and returns the answer.
func (n *node) raw(t *testing.T, from, request string) string {
	t.Helper()
	d := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.Dial("tcp", "127.0.0.1:"+n.port)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	if err != nil && len(b) == 0 {
		t.Fatal(err)
	}
	return string(b)
}

// TestUntouchable: loopback, this host, trusted proxies and the allowlist are never
// refused, whoever asks for it: live requests, log lines, an operator.
func TestUntouchable(t *testing.T) {
	n := newNode(t)
	n.write("auth.log", "")
	n.write("Caddyfile", n.expand(forwarded))
	n.start()
	n.followed()
	if out, err := n.rampart("allowlist", "add", "198.51.100.200"); err != nil {
		t.Fatal(err, out)
	}
	safe := append([]string{"127.0.0.1", "127.9.9.9", "::1", "198.18.0.7", "198.19.255.1", "192.0.2.7", "2001:db8:a11::7",
		"198.51.100.200", "::ffff:192.0.2.7"}, hostAddresses(t)...)
	for _, ip := range safe {
		n.logIn(t, ip)
		for range 8 {
			n.add("auth.log", sshFailure(time.Now(), "root", ip))
		}
		out, err := n.rampart("decisions", "add", ip)
		if err != nil || !strings.Contains(out, "suppressed by the allowlist") {
			t.Errorf("decisions add %s: %v\n%s", ip, err, out)
		}
	}
	until(t, "all lines are read", func() bool { return n.status().Events.Lines == int64(8*len(safe)) })
	for _, network := range []string{"127.0.0.0/8", "198.18.0.0/15", "192.0.2.0/28", "2001:db8:a11:1::/64"} {
		if out, err := n.rampart("decisions", "add", network); err != nil || !strings.Contains(out, "suppressed") {
			t.Errorf("decisions add %s: %v\n%s", network, err, out)
		}
	}
	// Around what is allowed a ban holds, and still lets it through.
	if out, err := n.rampart("decisions", "add", "192.0.0.0/16"); err != nil || strings.Contains(out, "suppressed") {
		t.Errorf("decisions add 192.0.0.0/16: %v\n%s", err, out)
	}
	if a := n.send("192.0.9.9", "GET", "/"); a.status != 403 {
		t.Errorf("beside the allowlist: %d", a.status)
	}
	for _, ip := range safe {
		for _, d := range n.decided(ip) {
			if !d.Suppressed && d.Value != "192.0.0.0/16" {
				t.Errorf("%s: %+v", ip, d)
			}
		}
		if a := n.send(ip, "GET", "/"); a.status != 200 {
			t.Errorf("%s got %d %s", ip, a.status, a.remediation())
		}
	}
	if s := n.status(); s.Suppressed == 0 {
		t.Error("nothing was suppressed, so nothing was shown")
	}
	n.checkWords("198.18.0.7", "trusted_proxies")
}

// checkWords: `why` says what protects an address.
func (n *node) checkWords(ip, word string) {
	n.t.Helper()
	if out, err := n.rampart("why", ip); err != nil || !strings.Contains(out, word) {
		n.t.Errorf("why %s: %v\n%s", ip, err, out)
	}
}

// hostAddresses are those of this machine that a log could name.
func hostAddresses(t *testing.T) []string {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() {
			out = append(out, n.IP.String())
		}
	}
	return out
}
