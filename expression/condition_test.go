package expression_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
	"github.com/rampart-edge/rampart/internal/testkit"
)

// events is a queue as a Window: predicates are asked when a test needs them.
type events struct {
	list       []*event.Event
	predicates []*expression.Program
	failed     bool
}

func (w *events) Len() int             { return len(w.list) }
func (w *events) Time(i int) time.Time { return w.list[i].Time }

func (w *events) Passes(i, n int) bool {
	ok, err := w.predicates[n].Bool(&expression.Vars{Evt: w.list[i]})
	w.failed = w.failed || err != nil
	return ok
}

func (w *events) Text(i int, path string) string {
	group, key, _ := strings.Cut(path, ".")
	switch group {
	case "Meta":
		return w.list[i].Meta[key]
	case "Parsed":
		return w.list[i].Parsed[key]
	}
	return w.list[i].Enriched[key]
}

// agree compares the quick way with the program; it reports whether the quick way
// told, and whether it might have: neither the program nor a predicate failed.
func agree(t *testing.T, c *expression.Condition, list []*event.Event) (told, might bool) {
	t.Helper()
	w := &events{list: list, predicates: c.Predicates()}
	for i := range list {
		for n := range w.predicates {
			w.Passes(i, n)
		}
	}
	if w.failed {
		return false, false // whoever holds the queue runs the program then
	}
	vars := &expression.Vars{Evt: list[len(list)-1], Queue: &event.Queue{Queue: list}}
	quick, known := c.Quick(w, vars)
	want, err := c.Bool(vars)
	if !known {
		return false, err == nil
	}
	if err != nil || quick != want {
		t.Fatalf("%s\nquick %v, whole %v, %v, of %d events", c.Source(), quick, want, err, len(list))
	}
	return true, true
}

func randomQueue(rng *rand.Rand) []*event.Event {
	var list []*event.Event
	at := noon
	text := func() string {
		return []string{"", "a", "b", "/usr/bin/curl", "/bin/sh", "11.5", "48.1", "-74"}[rng.IntN(8)]
	}
	for range 1 + rng.IntN(9) {
		at = at.Add(time.Duration(rng.IntN(40)-10) * time.Minute)
		ev := &event.Event{Time: at, Meta: map[string]string{"x": text(), "exe": text(), "log_type": []string{"ssh_failed-auth", "auth_success"}[rng.IntN(2)]}}
		if rng.IntN(3) > 0 {
			ev.Enriched = map[string]string{"Latitude": text(), "Longitude": text()}
		}
		list = append(list, ev)
	}
	return list
}

// condition writes a random condition out of the parts that the quick way knows,
// with now and then one that it does not.
func randomCondition(rng *rand.Rand) string {
	pick := func(list ...string) string { return list[rng.IntN(len(list))] }
	predicate := func() string {
		return pick("{#.Meta.x == 'a'}", "{.Meta.exe startsWith '/usr/'}", "{!(.Meta.x in ['a', 'b']) and .Meta.exe != ''}",
			"{.Meta.exe matches '^/(usr/)?bin/'}", "{#.Enriched.Latitude == ''}", "{len(.Meta.x) > 1}", "{any(['a'], {# == .Meta.x})}",
			"{.GetMeta('x') contains '1'}", "{#.Unmarshaled.a.b == 'c'}", "{int(.Meta.x) > 3}", "{.Meta.x == evt.Meta.x}")
	}
	list := func() string {
		l := pick("queue.Queue", "queue.Queue", "filter(queue.Queue, "+predicate()+")", "bad")
		if rng.IntN(3) == 0 {
			l += pick("[-4:]", "[-2:]", "[1:]", "[-3:-1]", "[:2]")
		}
		return l
	}
	op := func() string { return pick(">", ">=", "<", "<=", "==", "!=") }
	item := func() string {
		return pick("queue.Queue[-1].", "queue.Queue[0].", "queue.Queue[-2].", "queue.Queue[3].") + pick("Meta.x", "Meta.exe", "Enriched.Latitude")
	}
	term := func() string {
		switch rng.IntN(7) {
		case 0:
			return fmt.Sprintf("len(%s) %s %d", list(), op(), rng.IntN(5))
		case 1:
			return fmt.Sprintf("count(queue.Queue, %s) %s %d", predicate(), op(), rng.IntN(4))
		case 2:
			return fmt.Sprintf("%s(queue.Queue, %s)", pick("any", "all", "none", "one"), predicate())
		case 3:
			return fmt.Sprintf("MedianInterval(map(%s, {#.Time})) %s duration('%s')", list(), op(), pick("10m", "0s", "1h"))
		case 4:
			return item() + pick(" == ", " != ", " startsWith ") + pick(item(), "'a'", "'/usr/bin/curl'")
		case 5:
			return fmt.Sprintf("Distance(%s, %s, %s, '11.5') %s %d", item(), item(), item(), op(), rng.IntN(2000))
		}
		return pick("evt.Meta.x == 'a'", "evt.Meta.x in ['a', 'b']", "true", "queue.L == 0", "evt.Meta.exe != queue.Queue[0].Meta.exe")
	}
	out := term()
	for rng.IntN(2) == 0 {
		out = pick("", "not ") + "(" + out + pick(") && (", ") and (", ") or (", ") || (") + term() + ")"
	}
	return "let bad = filter(queue.Queue, " + predicate() + "); " + out
}

// TestConditionOracle holds the quick way equal to the program.
func TestConditionOracle(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	env := expression.New(expression.Options{})
	compiled, known := 0, 0
	for range 3000 {
		c, err := env.CompileCondition(randomCondition(rng))
		if err != nil {
			continue
		}
		compiled++
		for range 6 {
			if told, _ := agree(t, c, randomQueue(rng)); told {
				known++
			}
		}
	}
	if compiled < 2000 || known < 3000 {
		t.Errorf("%d compiled, %d times the quick way could tell: that is too little", compiled, known)
	}
}

// TestConditionHub: every condition of the Hub is told the quick way, where it does
// not fail.
func TestConditionHub(t *testing.T) {
	dir := testkit.Shared(t, "hub", "scenarios")
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.y*ml"))
	if err != nil {
		t.Fatal(err)
	}
	env := expression.New(expression.Options{})
	rng := rand.New(rand.NewPCG(9, 10))
	found := 0
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(data), "condition:") {
			continue
		}
		for _, doc := range strings.Split(string(data), "\n---") {
			var spec struct{ Condition string }
			if yaml.Unmarshal([]byte(doc), &spec) != nil || spec.Condition == "" {
				continue
			}
			found++
			c, err := env.CompileCondition(spec.Condition)
			if err != nil {
				t.Errorf("%s: %v", f, err)
				continue
			}
			for range 200 {
				if told, might := agree(t, c, randomQueue(rng)); might && !told {
					t.Errorf("%s: not told the quick way:\n%s", f, spec.Condition)
					break
				}
			}
		}
	}
	if found < 10 {
		t.Errorf("%d conditions, want 10", found)
	}
}

// TestConditionPlain: the plain way asks the program.
func TestConditionPlain(t *testing.T) {
	c, err := expression.New(expression.Options{Plain: true}).CompileCondition("len(queue.Queue) > 1")
	if err != nil || len(c.Predicates()) > 0 || !c.UsesQueue() {
		t.Fatalf("%v, %v", c, err)
	}
	if _, known := c.Quick(&events{list: randomQueue(rand.New(rand.NewPCG(1, 1)))}, &expression.Vars{}); known {
		t.Error("the plain way is quick")
	}
}

// FuzzCondition holds the quick way of any condition equal to the program.
func FuzzCondition(f *testing.F) {
	rng := rand.New(rand.NewPCG(11, 12))
	for range 40 {
		f.Add(randomCondition(rng), rng.Uint64())
	}
	env := expression.New(expression.Options{})
	f.Fuzz(func(t *testing.T, src string, seed uint64) {
		c, err := env.CompileCondition(src)
		if err != nil || c.Reads().Writes {
			return
		}
		rng := rand.New(rand.NewPCG(seed, 1))
		for range 4 {
			agree(t, c, randomQueue(rng))
		}
	})
}
