package notify

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"
)

// sender brings texts to where they go. It is safe for concurrent use; send gives up
// when ctx ends; after close it may still send, without keeping anything open.
type sender interface {
	send(ctx context.Context, text string) error
	close()
}

// channel is what the YAML of one type of receiver has beside the common keys.
type channel interface {
	// dial makes the sender. It reads certificates, and does nothing that others could see.
	dial() (sender, error)
	// patience is how long one try may take by itself, where `timeout` is not given.
	patience() time.Duration
	// plain writes a digest where the receiver takes plain text; false: it takes
	// what the operator's template makes, and nobody else knows its form.
	plain(*Digest) (string, bool)
}

// channelOf returns an empty one with the defaults of the type.
func channelOf(kind string) (channel, error) {
	switch kind {
	case "http":
		return &httpSpec{Method: "POST"}, nil
	case "slack":
		return &slackSpec{}, nil
	case "email":
		return newEmailSpec(), nil
	case "file":
		return &fileSpec{}, nil
	case "splunk":
		return &splunkSpec{}, nil
	case "sentinel":
		return &sentinelSpec{}, nil
	case "":
		return nil, fmt.Errorf("it has no type; expected http, slack, email, file, splunk or sentinel")
	}
	return nil, fmt.Errorf("type %q is not known; expected http, slack, email, file, splunk or sentinel (plugins of others do not run here, `http` reaches most services)", kind)
}

// receiver is compiled and immutable. Two of equal print do the same.
type receiver struct {
	spec    spec
	rule    rule
	format  *format
	digest  *format // nil: as channel.plain says
	channel channel
	sender  sender
	timeout time.Duration
	print   [sha256.Size]byte
}

// compile makes a receiver of its two halves.
func compile(s *spec, own channel) (*receiver, error) {
	r := &receiver{spec: *s, rule: s.rule(), channel: own, timeout: s.Timeout.or(max(defaultTimeout, own.patience()))}
	var err error
	if r.format, err = compileFormat("format", s.Format); err != nil {
		return nil, err
	}
	if s.Digest != "" {
		if r.digest, err = compileFormat("digest", s.Digest); err != nil {
			return nil, err
		}
	}
	_, plain := own.plain(&Digest{})
	r.rule.digests = plain || r.digest != nil || s.Format == ""
	if s.Rate.n > 0 && !r.rule.digests {
		return nil, fmt.Errorf("it has a rate and a format of its own, so a `digest` template must say how the alerts beyond the rate are told")
	}
	if r.sender, err = own.dial(); err != nil {
		return nil, err
	}
	r.print = sha256.Sum256(fmt.Appendf(nil, "%#v\n%#v\n", *s, own)) // no pointers in them
	return r, nil
}

// text renders one message.
func (r *receiver) text(m *message) (string, error) {
	switch {
	case m.digest == nil:
		return r.format.render(m.alerts)
	case r.digest != nil:
		return r.digest.render(m.digest)
	}
	if text, ok := r.channel.plain(m.digest); ok {
		return text, nil
	}
	return r.format.render([]*Alert{m.digest.alert()})
}

// send makes one try.
func (r *receiver) send(ctx context.Context, text string) error {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	return r.sender.send(ctx, text)
}
