package parsers

import (
	"fmt"
	"io/fs"
	"path"
	"testing"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
)

func builtinItems(t testing.TB) []Item {
	t.Helper()
	var items []Item
	err := fs.WalkDir(Builtin(), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(Builtin(), p)
		items = append(items, Item{Path: p, Stage: path.Dir(p), Data: data})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return items
}

func TestSmoke(t *testing.T) {
	p, err := Load(builtinItems(t), expression.New(expression.Options{}), Options{})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(p.Stages())
	for _, x := range [][2]string{
		{"syslog", "Dec 10 06:55:48 LabSZ sshd[24200]: Failed password for invalid user webmaster from 173.234.31.186 port 38926 ssh2"},
		{"syslog", "<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su 12 ID47 [exampleSDID@32473 iut=\"3\\]\" eventID=\"1011\"] hello"},
		{"access", `192.168.1.100 - - [10/Apr/2024:14:30:00] "POST /wp-login.php HTTP/1.1" 401 512`},
		{"caddy", `{"level":"info","ts":1646861401.5241024,"logger":"http.log.access","msg":"handled request","request":{"remote_ip":"127.0.0.1","remote_port":"41342","client_ip":"127.0.0.1","proto":"HTTP/2.0","method":"GET","host":"localhost","uri":"/a.js?x=1","headers":{"User-Agent":["curl/7.82.0"]}},"bytes_read":0,"user_id":"","duration":0.000929675,"size":10900,"status":200,"resp_headers":{"Server":["Caddy"]}}`},
	} {
		ev := &event.Event{}
		ev.Line.Labels = map[string]string{"type": x[0]}
		ev.Line.Raw = x[1]
		fmt.Println(p.Parse(ev), ev.Parsed, ev.Meta, ev.StrTime, ev.MarshaledTime)
	}
}
