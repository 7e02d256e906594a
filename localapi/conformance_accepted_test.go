package localapi

import (
	"fmt"
	"strings"
)

// acceptance is a difference from the real server that is meant, and why. A star
// stands for any text.
type acceptance struct{ difference, reason string }

// Reasons of differences, each a defect of the real server that is put right or a
// property of ours that is promised.
const (
	badFilter    = "what cannot be read is answered 400, which clients print alike; 500 makes the Go client log in again"
	notThere     = "what is not there is answered 404, which clients print alike; 500 makes the Go client log in again"
	badAlert     = "alerts that make no sense are answered 4xx, as long as no other of the request was recorded"
	severity     = "live answers are in the order of severity: some bouncers look at the first alone"
	prolongs     = "the same decision against the same value prolongs the one that is in force"
	toldOnce     = "cursors are steps of the journal, not times, so nothing can fall between two polls and nothing is told twice"
	deletedEarly = "the deletion of a longer decision is told, and the shorter one anew after it: bouncers would keep to the longer end"
	alertsGone   = "decisions that went with their alert are told as ended"
	endsKept     = "ends are remembered for a day, those of decisions whose alerts were deleted among them"
	overIsGone   = "a decision that is over is none any more, and cannot be ended again"
	lenientAgent = "any User-Agent may log in"
	lenientUsage = "Debian's cjson writes an empty list as {}"
)

// acceptances are by the names of captures.
func acceptances() map[string][]acceptance {
	all := map[string][]acceptance{
		"lapi-raw/tour-017": {
			{"status: 200, theirs is 401", lenientAgent}, {"Www-Authenticate: *", lenientAgent}, {"body.code: 200*", lenientAgent},
			{"body.message: missing", lenientAgent}, {"body.expire: *", lenientAgent}, {"body.token: *", lenientAgent},
		},
		"lapi-raw/tour-048": {{"status: 400, theirs is 500", badAlert}},
		"lapi-raw/tour-061": {{"status: 400, theirs is 500", badAlert}},
		"lapi-raw/tour-078": {
			{"body: * Ip ban 5.5.5.7 is missing", severity}, {"body: * Ip ban 5.5.5.6, theirs has not", severity},
		},
		"lapi-raw/tour-085": {{"body.deleted: * 5.5.5.7 is missing", toldOnce}},
		"lapi-raw/tour-111": {
			{"status: 400, theirs is 500", badFilter}, {"Content-Type: *", badFilter}, {"body: *bad limit*theirs is empty", badFilter},
		},
		"lapi-raw/tour-124": {
			{"body.deleted: * 5.5.5.7 is missing", toldOnce}, {"body.deleted: * Ip ban 10.9.1.1, theirs has not", deletedEarly},
		},
		"lapi-raw/tour-136": {{"body.deleted: * Ip ban 10.9.1.1 is missing", toldOnce}},
		"lapi-raw/tour-142": {
			{"body.deleted: * 5.5.5.6, theirs has not", alertsGone}, {"body.deleted: * 5.5.5.7, theirs has not", alertsGone},
		},
		"cscli/cscli-027": {
			{"status: 404, theirs is 200", overIsGone}, {"body.nbDeleted: missing", overIsGone}, {"body.message: *", overIsGone},
		},
		"nginx-lua/nginx-003":    {{"body: * Range ban 40.1.0.0/16 is missing", prolongs}},
		"nginx-lua/nginx-004":    {{"body: * Ip captcha 40.0.0.3 is missing", prolongs}},
		"nginx-lua/nginx-013":    {{"body.deleted: * 40.0.0.9 is missing", toldOnce}},
		"go-cs-bouncer/gocs-008": {{"body: * Range ban 40.1.0.0/16 is missing", prolongs}},
	}
	for _, n := range []int{5, 6, 7, 32, 98, 102, 112, 118, 119, 128, 131, 132, 141} {
		all[fmt.Sprintf("lapi-raw/tour-%03d", n)] = []acceptance{{"status: 400, theirs is 500", badFilter}}
	}
	for _, file := range []string{"lapi-raw/tour-029", "lapi-raw/tour-121", "lapi-raw/tour-138", "cscli/cscli-054"} {
		all[file] = []acceptance{{"status: 404, theirs is 500", notThere}}
	}
	for _, file := range []string{"nginx-lua/nginx-007", "nginx-lua/nginx-015"} {
		all[file] = []acceptance{
			{"status: 201, theirs is 400", lenientUsage}, {"Content-Type: *", lenientUsage}, {"body: null, theirs is an object", lenientUsage},
		}
	}
	for _, file := range []string{"fw-bouncer/fw-001", "caddy-bouncer/caddy-001", "nginx-lua/nginx-008", "go-cs-bouncer/gocs-001"} {
		all[file] = append(all[file], acceptance{"body.deleted: *, theirs has not", endsKept})
	}
	return all
}

func countAcceptances() (n int) {
	for _, list := range acceptances() {
		n += len(list)
	}
	return n
}

// covers reports whether a difference is the accepted one.
func (a acceptance) covers(difference string) bool {
	parts := strings.Split(a.difference, "*")
	last := len(parts) - 1
	rest, ok := strings.CutPrefix(difference, parts[0])
	for _, part := range parts[1:max(last, 1)] {
		_, after, found := strings.Cut(rest, part)
		rest, ok = after, ok && found
	}
	if last == 0 {
		return ok && rest == ""
	}
	return ok && strings.HasSuffix(rest, parts[last])
}
