package e2e

import (
	"fmt"
	"testing"
	"time"
)

// mixedScenario fills one bucket from two inputs.
const mixedScenario = `type: leaky
name: local/any-login
filter: evt.Meta.log_type == 'ssh_failed-auth' || evt.Meta.log_type == 'http_access-log' && evt.Meta.http_status == '401'
groupby: evt.Meta.source_ip
capacity: 5
leakspeed: 1m
labels:
  type: bruteforce
`

// TestMixed lets one source fail three times over SSH and three times over HTTP.
// No five of them do anything, in either order; the sixth overflows the bucket.
func TestMixed(t *testing.T) {
	n := newNode(t)
	n.write("any-login.yaml", mixedScenario)
	n.write("auth.log", "")
	n.write("Caddyfile", n.expand(`{
	admin {admin}
	servers {
		trusted_proxies static 127.0.0.1/32
		trusted_proxies_strict
	}
	rampart {
		data_dir {state}
		scenarios {dir}/any-login.yaml
		source file {dir}/auth.log
	}
}
http://127.0.0.1:{port} {
	rampart
	respond /private 401
	respond "hello" 200
}
`))
	n.start()
	n.followed()
	lines, requests := int64(0), int64(0)
	ssh := func(ip string) {
		lines++
		n.add("auth.log", sshFailure(time.Now(), fmt.Sprint("user", lines), ip))
		until(t, "the line is read", func() bool { return n.status().Events.Lines == lines })
	}
	web := func(ip string) {
		requests++
		if a := n.send(ip, "GET", "/private"); a.status != 401 {
			t.Fatalf("%s got %d", ip, a.status)
		}
		until(t, "the request is examined", func() bool { return n.status().Events.Requests == requests })
	}
	for _, c := range []struct {
		ip   string
		last func(string)
		five []func(string)
	}{
		{"203.0.113.60", web, []func(string){ssh, ssh, ssh, web, web}},
		{"203.0.113.61", ssh, []func(string){web, web, web, ssh, ssh}},
		{"2001:db8::61", web, []func(string){ssh, web, ssh, web, ssh}},
	} {
		for _, fail := range c.five {
			fail(c.ip)
		}
		if a := n.alerts("value=" + c.ip); len(a) > 0 {
			t.Fatalf("%s: five failures made %+v", c.ip, a)
		}
		c.last(c.ip)
		until(t, c.ip+" is alerted about", func() bool { return len(n.alerts("value="+c.ip)) > 0 })
		a := n.alerts("value=" + c.ip)[0]
		kinds := map[string]int{}
		for _, e := range a.Events {
			kinds[e.GetMeta("log_type")]++
			if e.GetMeta("source_ip") != c.ip {
				t.Errorf("%s: an event of %s", c.ip, e.GetMeta("source_ip"))
			}
		}
		if a.Scenario != "local/any-login" || a.EventsCount != 6 || kinds["ssh_failed-auth"] != 3 || kinds["http_access-log"] != 3 {
			t.Errorf("%s: %s, %d events, kept %v", c.ip, a.Scenario, a.EventsCount, kinds)
		}
		if r := n.send(c.ip, "GET", "/"); r.status != 403 {
			t.Errorf("%s got %d afterwards", c.ip, r.status)
		}
	}
	// All addresses of an IPv6 /64 are one source, whichever input names them.
	for i, fail := range []func(string){ssh, web, ssh, web, ssh, web} {
		fail(fmt.Sprintf("2001:db8:0:62::%d", i+1))
	}
	until(t, "the /64 is banned", func() bool { return len(n.decided("2001:db8:0:62:ffff::1")) > 0 })
}
