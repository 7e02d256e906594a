package expression

import (
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/rampart-edge/rampart/event"
)

// ranges is an address in a list of ranges.
func (r *shapes) ranges() string {
	ip := r.one(r.alertText(), "evt.Meta.ip", "evt.Meta.ip", "evt.Overflow.Alert.Source.IP", "#", "Lower(#)", "(evt.Meta.k == 'a' ? evt.Meta.ip : '::1')")
	in := "IpInRange(" + ip + ", " + r.one("#", "#", "#", "TrimSpace(#)", "evt.Meta.l", "(# + '')") + ")"
	pick := r.one("len(#) > 0", "len(#) > 11", "# contains '1'", "evt.Meta.ip contains #", "# != evt.Meta.k", "not (# endsWith '8')", r.alertText()+" != ''")
	in = r.one(in, in, pick+" && "+in, in+" && "+pick, in+" || "+pick, pick+" || "+in, pick+" && # != '' && "+in, pick+" && ("+in+" or evt.Meta.k contains #)")
	if r.IntN(3) == 0 {
		return "(" + r.one("not ", "") + "(IpInRange(evt.Meta.ip, '10.1.2.0/25') || " + r.one("evt.Meta.k == 'a' || ", "IpInRange(evt.Meta.l, '::/0') or ", "") +
			"IpInRange(evt.Meta.ip, '::/0') || IpInRange(evt.Meta.ip, '" + r.one("x", "::ffff:10.1.3.0/120", "2001:db8::/33") + "')) && IsIPV6(" + ip + "))"
	}
	return r.one("any", "any", "any", "none", "all") + "(" + r.one("File('ranges.txt')", "File('ranges.txt')", "File('none.txt')",
		"['10.0.0.0/8', 'b', '::/0']", "Split(evt.Meta.k, '%')") + ", {" + in + "})"
}

// TestRanges: a list of ranges has the addresses that one of them has.
func TestRanges(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	addr := func() netip.Addr {
		switch r.IntN(4) {
		case 0:
			return netip.AddrFrom4([4]byte{byte(r.IntN(2)) * 255, byte(r.IntN(3)), byte(r.IntN(4)) * 64, byte(r.IntN(256))})
		case 1:
			return netip.AddrFrom16([16]byte{10: 255, 11: 255, 12: byte(r.IntN(2)), 15: byte(r.IntN(256))})
		}
		return netip.AddrFrom16([16]byte{byte(r.IntN(2)) * 255, 1: byte(r.IntN(2)), 14: byte(r.IntN(3)), 15: byte(r.IntN(256))})
	}
	hits := 0
	for range 3000 {
		var list ranges
		var lines []string
		for range r.IntN(8) {
			a := addr()
			lines = append(lines, netip.PrefixFrom(a, max(0, a.BitLen()-r.IntN(12)*r.IntN(12))).String())
		}
		for _, l := range lines {
			list.add(l)
		}
		list.join()
		for range 20 {
			a, want := addr(), false
			for _, l := range lines {
				want = want || inRange(a.String(), l)
			}
			if got := list.has(a.Unmap()); got != want {
				t.Fatalf("%s in %v: %v, one by one %v", a, lines, got, want)
			}
			if want {
				hits++
			}
		}
	}
	if hits < 2000 {
		t.Errorf("%d hits say little", hits)
	}
}

// FuzzRanges: any texts as ranges and addresses give what IpInRange gives one by one.
func FuzzRanges(f *testing.F) {
	f.Add("10.0.0.0/8\n10.0.0.0/9\n::/0", "10.255.0.1")
	f.Add("::ffff:0.0.0.0/95\n::ffff:10.0.0.0/104", "::ffff:10.1.1.1")
	f.Add("0.0.0.0/0\n255.255.255.255/32\nx", "::")
	f.Fuzz(func(t *testing.T, text, ip string) {
		var list ranges
		want := false
		for _, line := range strings.Split(text, "\n") {
			list.add(line)
			want = want || inRange(ip, line)
		}
		list.join()
		a := address(ip)
		if got := a.IsValid() && list.has(a); got != want {
			t.Fatalf("%q in %q: %v, one by one %v", ip, text, got, want)
		}
	})
}

// TestAlertsAreNative: programs about alerts, and those for their contexts, give what
// the machine gives.
func TestAlertsAreNative(t *testing.T) {
	env := filesEnv(t)
	r := &shapes{Rand: rand.New(rand.NewPCG(11, 12))}
	whole := 0
	for _, c := range []struct {
		on     On
		source string
	}{
		{OnAlert, `Alert.Remediation == true && Alert.GetScope() == "Ip"`},
		{OnAlert, "Alert.Remediation && Alert.Source.Scope in ['a', 'Ab'] && not Alert.Simulated"},
		{OnAlert, "Alert.GetScenario() startsWith 'a' || Alert.GetValue() == ''"},
		{OnAlert, "Alert.Remediation && Alert.GetLabel('k') != 'b' && Alert.GetMeta(Alert.Kind) == ''"},
		{OnAlert, "Alert.Scenario contains 'b' and Alert.GetEventsCount() > 1"},
		{OnAlert, "Sprintf('%dh', len(Alert.Message) + 4)"},
		{OnAlert, "any(File('ranges.txt'), {IpInRange(Alert.Source.IP, #)})"},
		{OnAlert, "let evt = Alert; evt.Kind == 'a' || evt.Remediation"},
		{OnAlert, "Alert.Source.AsNumber in ['1', 'a'] ? 'x' : Alert.Source.Cn"},
		{OnContext, "evt.Meta.k"},
		{OnContext, "evt.Meta.k + evt.Parsed.l"},
		{OnContext, "evt.Meta.k != '' ? evt.Meta.k : evt.Unmarshaled.x"},
		{OnContext, "evt.Unmarshaled.x.y"},
		{OnContext, "Lower(evt.Meta.k) in ['a', 'ab'] && evt.Meta.l contains 'A'"},
		{OnContext, "req != nil ? req.Host : evt.Meta.k"},
		{OnContext, "match.uri != nil ? match.uri : evt.Meta.k"},
	} {
		p, err := env.Compile(c.source, c.on, Any)
		if err != nil {
			t.Fatal(err)
		}
		if p.native.whole() {
			whole++
		}
		for i := range 300 {
			v := &Vars{Evt: randomEvent(r.Rand)}
			if c.on == OnAlert {
				v = &Vars{Alert: v.Evt.Overflow.Alert}
			}
			if i == 0 {
				v = &Vars{}
			}
			want, wantErr := p.machine(v)
			got, err := p.Any(v)
			if !reflect.DeepEqual(got, want) || (err != nil) != (wantErr != nil) || err != nil && err.Error() != wantErr.Error() {
				t.Fatalf("%s of %+v\ngives %v (%v)\nand by the machine %v (%v)", c.source, v, got, err, want, wantErr)
			}
		}
	}
	if whole != 13 {
		t.Errorf("%d programs run whole as closures", whole)
	}
}

// TestRangesFail: where there is no alert the program fails as it does line by line.
func TestRangesFail(t *testing.T) {
	env := filesEnv(t)
	for source, fails := range map[string]bool{
		"any(File('ranges.txt'), {IpInRange(evt.Overflow.Alert.Source.IP, #)})":                true,
		"any(File('none.txt'), {IpInRange(evt.Overflow.Alert.Source.IP, #)})":                  false,
		"any(File('ranges.txt'), {len(#) > 99 && IpInRange(evt.Overflow.Alert.Source.IP, #)})": false,
		"any(File('ranges.txt'), {IpInRange(evt.Overflow.Alert.Source.IP, #) && len(#) > 99})": true,
	} {
		p, err := env.Compile(source, OnEvent, Bool)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Bool(&Vars{Evt: &event.Event{}}); (err != nil) != fails {
			t.Errorf("%s: %v", source, err)
		}
	}
}
