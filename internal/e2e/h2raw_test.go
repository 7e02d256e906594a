package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// h2 queues a GET over HTTP/2 without TLS, with a target that no client library
// would send.
func (o *oddClient) h2(target, agent string) {
	client, canonical := o.client(fmt.Sprintf("HTTP/2 %.80q agent %.30q", target, agent))
	o.job(func() {
		fields := []hpack.HeaderField{{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "http"},
			{Name: ":authority", Value: "example.com"}, {Name: ":path", Value: target}, {Name: "x-forwarded-for", Value: client}}
		if agent != "-" {
			fields = append(fields, hpack.HeaderField{Name: "user-agent", Value: agent})
		}
		err := h2Exchange("127.0.0.1:"+o.node.port, fields)
		var reset resetError
		if errors.As(err, &reset) && http2.ErrCode(reset) == http2.ErrCodeProtocol {
			o.refused(canonical)
		} else if err != nil && !errors.As(err, &reset) {
			o.t.Errorf("HTTP/2 %.80q agent %.30q: %v", target, agent, err)
		}
	})
}

// resetError is the code of a stream that the server reset.
type resetError http2.ErrCode

func (e resetError) Error() string { return "stream reset: " + http2.ErrCode(e).String() }

// h2Exchange sends one request on a connection of its own and waits for the end of
// the response.
func h2Exchange(addr string, fields []hpack.HeaderField) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write([]byte(http2.ClientPreface)); err != nil {
		return err
	}
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, f := range fields {
		if err := enc.WriteField(f); err != nil {
			return err
		}
	}
	fr := http2.NewFramer(c, c)
	if err := fr.WriteSettings(); err != nil {
		return err
	}
	if err := fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true}); err != nil {
		return err
	}
	for {
		f, err := fr.ReadFrame()
		if err != nil {
			return err
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				err = fr.WriteSettingsAck()
			}
		case *http2.DataFrame:
			if f.StreamEnded() {
				return nil
			}
		case *http2.HeadersFrame:
			if f.StreamEnded() {
				return nil
			}
		case *http2.RSTStreamFrame:
			return resetError(f.ErrCode)
		case *http2.GoAwayFrame:
			if f.ErrCode != http2.ErrCodeNo {
				return fmt.Errorf("going away: %s", f.ErrCode)
			}
		}
		if err != nil {
			return err
		}
	}
}
