package captcha

import "sync/atomic"

// counter names one thing that is counted.
type counter uint8

const (
	countServed counter = iota
	countPassed
	countFailed
	countExpired
	countReplayed
	countTooFast
	countLimited
	countBusy      // the node's own drawing or speaking rate was used up
	countGrace     // requests let through on a valid grace cookie
	countRefused   // requests that were no page load
	countAudio     // sounds sent
	countCookies   // visitors whose cookie did not come back
	countResubmits // forms handed back for sending again
	countStoreDown // answers refused because the token could not be burnt
	countNumber
)

// counterNames are the keys of Stats; the first seven and refused are also Result.Kind.
var counterNames = [countNumber]string{
	"served", "passed", "failed", "expired", "replayed", "too_fast", "limited",
	"busy", "grace", "refused", "audio", "cookieless", "forms_replayed", "store_errors",
}

type counters [countNumber]atomic.Int64

func (c *counters) add(k counter) { c[k].Add(1) }

func (c *counters) snapshot() map[string]int64 {
	m := make(map[string]int64, countNumber)
	for i := range c {
		m[counterNames[i]] = c[i].Load()
	}
	return m
}
