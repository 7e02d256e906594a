// Package captcha holds the challenge that a suspected visitor meets instead of
// the site: the page with its picture or sound, the sealed tokens that carry its
// state, and the grace cookie that proves it was solved. It does not decide who
// is challenged, and it does not proxy: its caller does both.
//
//	request ─► Intercept ─► page {sealed token} ─► verify: burn, judge ─► grace cookie ─► /ok ─► return URL
//
// All state travels with the visitor, sealed, so any node that has the secret
// accepts what another one issued; a node keeps spent token ids and rate
// counters only (Store). Pictures of digits are a speed bump: a trained reader
// gets most of them right. The strength lies in one attempt per token, in the
// limits on issue and in the decision that a later offence brings.
//
// Concurrency: a Gate is immutable after New and safe for concurrent use. It
// starts no goroutines.
package captcha
