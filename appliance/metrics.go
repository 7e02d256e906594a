package appliance

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/logsources"
)

// metrics reads the node's counters when it is scraped. It is one collector for
// the life of the appliance, so that values survive every reload.
type metrics struct {
	a     *Appliance
	descs map[string]*prometheus.Desc
}

func newMetrics(a *Appliance) *metrics {
	m := &metrics{a: a, descs: map[string]*prometheus.Desc{}}
	add := func(name, help string, labels ...string) {
		m.descs[name] = prometheus.NewDesc("rampart_"+name, help, labels, prometheus.Labels{"node": a.node})
	}
	add("requests_total", "Requests examined, by verdict.", "verdict")
	add("events_total", "Events, by kind and result.", "source_type", "result")
	add("poured_total", "Events poured into buckets.")
	add("overflows_total", "Buckets that overflowed.")
	add("alerts_total", "Alerts concluded, by result.", "result")
	add("buckets", "Buckets held.")
	add("buckets_evicted_total", "Buckets evicted since the limit was reached.")
	add("decisions", "Decisions in force, by type.", "type")
	add("connections_closed_total", "Connections closed before a word was said.")
	add("challenge_total", "Challenges, by result.", "result")
	add("firewall_elements", "Bans in the firewall.")
	add("source_lines_total", "Lines read, by source.", "source")
	m.describeStorage(add)
	m.describeExchange(add)
	m.describeAPI()
	return m
}

// Collectors are to be registered with each configuration's registry.
func (a *Appliance) Collectors() []prometheus.Collector { return []prometheus.Collector{a.metrics} }

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range m.descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	out := scrape{m, ch}
	count := func(name string, n int64, labels ...string) { out.count(name, float64(n), labels...) }
	c := m.a.counters
	count("requests_total", c.passed.Load(), "pass")
	count("requests_total", c.banned.Load(), "ban")
	count("requests_total", c.throttled.Load(), "throttle")
	count("requests_total", c.responded.Load(), "captcha")
	count("requests_total", c.unknown.Load(), "unknown")
	count("events_total", c.engine.Lines.Load()-c.engine.Unparsed.Load(), "log", "parsed")
	count("events_total", c.engine.Unparsed.Load(), "log", "unparsed")
	count("events_total", c.engine.Requests.Load(), "http", "examined")
	count("events_total", c.dropped.Load(), "http", "dropped")
	count("poured_total", c.engine.Poured.Load())
	count("overflows_total", c.engine.Overflows.Load())
	count("alerts_total", c.engine.Alerts.Load(), "ok")
	count("alerts_total", c.engine.Known.Load(), "known")
	count("alerts_total", c.engine.Failed.Load(), "failed")
	count("connections_closed_total", c.closed.Load())
	l := m.a.live.Load()
	if l == nil {
		return
	}
	st := l.state
	b := st.buckets.Stats()
	out.gauge("buckets", float64(b.Buckets))
	count("buckets_evicted_total", b.Evicted)
	out.gauge("firewall_elements", float64(st.wall.status().Entries))
	for kind, n := range byKind(st.book.Stats().InForce) {
		out.gauge("decisions", float64(n), kind)
	}
	for result, n := range challenges(l.gate, l.passed) {
		if !ofSpent(result) {
			count("challenge_total", n, result)
		}
	}
	for name, n := range linesOf(st.tails.Status()) {
		count("source_lines_total", n, name)
	}
	if st.fleet != nil {
		s := st.fleet.status()
		collectStorage(out, &s)
	}
	collectExchange(out, l)
	collectAPI(out, l)
}

// scrape is where the values of one scrape go.
type scrape struct {
	m  *metrics
	ch chan<- prometheus.Metric
}

func (s scrape) gauge(name string, v float64, labels ...string) {
	s.ch <- prometheus.MustNewConstMetric(s.m.descs[name], prometheus.GaugeValue, v, labels...)
}

func (s scrape) count(name string, v float64, labels ...string) {
	s.ch <- prometheus.MustNewConstMetric(s.m.descs[name], prometheus.CounterValue, v, labels...)
}

// byKind counts by the kinds that are enforced; other ones are whatever text
// somebody wrote, and no label.
func byKind(inForce map[string]int) map[string]int64 {
	out := map[string]int64{decisions.TypeBan: 0, decisions.TypeCaptcha: 0, decisions.TypeThrottle: 0}
	for kind, n := range inForce {
		if _, known := out[kind]; !known {
			kind = otherKind
		}
		out[kind] += int64(n)
	}
	return out
}

// otherKind stands for decisions of unknown types.
const otherKind = "other"

// linesOf adds up sources of one name: they may differ in what has no name.
func linesOf(sources []logsources.Status) map[string]int64 {
	out := map[string]int64{}
	for _, s := range sources {
		out[label(s.Name)] += s.Lines
	}
	return out
}
