package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/captcha"
	"github.com/rampart-edge/rampart/internal/testkit/bucketstest"
	"github.com/rampart-edge/rampart/internal/testkit/redistest"
	"github.com/rampart-edge/rampart/scenarios"
)

// aclCommands are all commands that the package needs, of its own and in its scripts.
// The documentation has the same list.
const aclCommands = "+hello +auth +ping +select +info +time +eval +evalsha " +
	"+publish +subscribe +unsubscribe " +
	"+get +mget +set +setnx +del +unlink +rename +expire +pexpire +pexpireat +persist +pttl " +
	"+hget +hset +hmget +hdel +hlen +hexists +hgetall +hincrby +hscan +hrandfield " +
	"+sadd +scard +sismember +spop " +
	"+llen +lrange +ltrim +rpush " +
	"+xadd +xread +xrange +xtrim " +
	"+zadd +zcard +zrange +zrangebyscore +zrem +zremrangebyscore +zremrangebyrank +zscore +zmscore +zscan"

// aclCluster are those that a Redis Cluster takes besides.
const aclCluster = "+cluster|slots +asking +command"

// aclUser is the line for a user of the prefix.
func aclUser(name, password, prefix, commands string) string {
	return "user " + name + " on >" + password + " ~" + prefix + "* &" + prefix + "* " + commands
}

// TestACL: a user with exactly these rights can do all.
func TestACL(t *testing.T) {
	const password, prefix = "open-sesame-42", "fleet7:"
	s := redistest.Start(t, redistest.Options{Password: "root", ACL: []string{aclUser("app", password, prefix, aclCommands)}})
	config := Config{Addresses: []string{s.Addr()}, Username: "app", Password: password, Prefix: prefix, DB: 3}
	c, logs := open(t, 1, config)
	within(t, "redis is up", c.Up)
	useAll(t, c, config)
	checkLog(t, logs, "in use")
	if denied := s.Do("ACL", "LOG"); fmt.Sprint(denied) != "[]" {
		t.Errorf("denied: %v", denied)
	}
	s.Do("SELECT", "0")
	if v := s.Do("DBSIZE"); v != int64(0) {
		t.Errorf("%v keys outside of the database", v)
	}
}

// TestACLCluster is TestACL with a Redis Cluster.
func TestACLCluster(t *testing.T) {
	const password, prefix = "open-sesame-42", "fleet7:"
	cl := redistest.StartCluster(t)
	for _, srv := range cl.Servers() {
		srv.Do(slices.Concat([]string{"ACL", "SETUSER"}, strings.Fields(aclUser("app", password, prefix, aclCommands+" "+aclCluster))[1:])...)
		srv.Do("ACL", "SETUSER", "default", "off")
	}
	config := Config{Cluster: cl.Addrs(), Username: "app", Password: password, Prefix: prefix}
	c, logs := open(t, 1, config)
	within(t, "redis is up", c.Up)
	useAll(t, c, config)
	checkLog(t, logs, "in use")
}

// useAll uses what the package has.
func useAll(t *testing.T, c *Client, config Config) {
	t.Helper()
	within(t, "a number", func() bool { return c.Number() >= 0 })
	within(t, "the table", func() bool { return len(c.Nodes()) == 1 })
	within(t, "facts of the server", func() bool { return c.Health().Server != "" })
	lease := c.Lease("sync")
	within(t, "the lease", lease.Held)
	own := []byte("0123456789abcdef")
	if got, err := c.Secret(t.Context(), "x", own); err != nil || string(got) != string(own) {
		t.Errorf("secret %q, %v", got, err)
	}
	other := up(t, 2, config)
	a, b := NewBurns(c, captcha.NewMemory(nil)), NewBurns(other, captcha.NewMemory(nil))
	defer a.Close()
	defer b.Close()
	listening(t, a, b)
	a.Allow(t.Context(), "k", time.Hour, 5)
	within(t, "a rate is told", func() bool { return a.Stats().Rates == 1 })

	n, stop := openBuckets(t, c, BucketOptions{}, func(*scenarios.Overflow) {})
	defer stop()
	list := []*scenarios.Scenario{
		bucketstest.Scenario(t, leakyDoc+"blackhole: 1m\ndistinct: evt.Meta.id\n"),
		bucketstest.Scenario(t, conditionalDoc+"condition: len(queue.Queue) >= 6\nblackhole: 1m\noverflow_filter: 1 == 1\n"),
		bucketstest.Scenario(t, counterDoc+"duration: 1h\n"),
	}
	n.Use(scenarios.NewRules(list))
	for i := range 6 {
		for _, s := range list {
			ds := now1(s, i)
			ds[0].Distinct = fmt.Sprint(i)
			n.Pour(ds)
		}
	}
	n.Sweep(time.Now())
	drain(t, n)
	if st := n.Stats(); st.Overflowed != 2 || st.Failed+st.Broken+st.Untaken > 0 {
		t.Errorf("shared buckets: %+v", st)
	}
}

// TestACLComplete reads the scripts and the code for commands: what they use is in
// the list, and the list has nothing else.
func TestACLComplete(t *testing.T) {
	listed := strings.Fields(strings.NewReplacer("+", "").Replace(aclCommands))
	used := []string{"hello", "auth", "ping", "select", "unsubscribe"} // by the library itself
	for pattern, call := range map[string]*regexp.Regexp{
		"*.lua": regexp.MustCompile(`\bp?call\(\s*'(\w+)'`),
		"*.go":  regexp.MustCompile(`(?:\brdb\(\)|\.redis|\bpipe|\br)\.([A-Z]\w+)\(ctx|(?:\brdb\(\)|\.redis|\bpipe)\.([A-Z]\w+)\(`),
	} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") {
				continue
			}
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range call.FindAllStringSubmatch(string(text), -1) {
				used = append(used, strings.ToLower(m[1]+m[len(m)-1]))
				if len(m) == 2 {
					used[len(used)-1] = strings.ToLower(m[1])
				}
			}
		}
	}
	used = append(used, "eval", "evalsha") // script.go has them as words
	for _, name := range used {
		if !slices.Contains(listed, name) && !slices.Contains([]string{"pipeline", "process", "exec", "len", "addhook", "close", "foreachmaster"}, name) {
			t.Errorf("%s is used and not in the list", name)
		}
	}
	for _, name := range listed {
		if !slices.Contains(used, name) {
			t.Errorf("%s is in the list and not used", name)
		}
	}
	doc, err := os.ReadFile(filepath.Join("..", "docs", "config.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{aclUser("rampart", "PASSWORD", "rampart:", aclCommands), "`" + aclCluster + "`"} {
		if !strings.Contains(string(doc), line) {
			t.Errorf("the documentation does not have %s", line)
		}
	}
}
