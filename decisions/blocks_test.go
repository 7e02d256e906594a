package decisions_test

import (
	"context"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/decisions"
)

// TestGrantedAtOnce: the long ids of the emergency block end with the first grant.
func TestGrantedAtOnce(t *testing.T) {
	d := shared(t, 5, decisions.BookOptions{}, decisions.ShareOptions{})
	if x := d.ban("192.0.2.1", "ban", time.Hour); x.ID < 1<<39 {
		t.Errorf("without a grant the id is %d", x.ID)
	}
	must(t, d.Flush(context.Background()))
	d.Grant(101, 2000, 301, 4000)
	for i, ip := range []string{"192.0.2.2", "192.0.2.3"} {
		if x := d.ban(ip, "ban", time.Hour); x.ID != int64(101+i) {
			t.Errorf("%s has id %d", ip, x.ID)
		}
	}
	d.restart()
	must(t, d.Share(5, decisions.ShareOptions{}))
	if x := d.ban("192.0.2.4", "ban", time.Hour); x.ID < 103 || x.ID > 2000 {
		t.Errorf("after a restart the id is %d", x.ID)
	}
}
