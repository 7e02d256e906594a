package expression

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	// CrowdSec compatible: how long a request may take, and how much of a body counts.
	webTimeout = 10 * time.Second
	maxBody    = 10 << 20
	// maxOpen is ours: how many requests may be open at a time.
	maxOpen = 16
)

var (
	errNoHTTP = errors.New("requests to other machines are not allowed here")
	errBusy   = fmt.Errorf("%d requests are open already", maxOpen)
)

// HTTPResponse is what expressions see of an answer.
type HTTPResponse struct {
	StatusCode int
	Body       string // at most 10 MiB; what exceeds it is cut off
	Headers    http.Header
}

// web sends the requests of expressions, so many at a time.
type web struct {
	client *http.Client // nil: none
	open   chan struct{}
}

func newWeb(client *http.Client) *web { return &web{client, make(chan struct{}, maxOpen)} }

func (w *web) send(method, url string, headers map[string]string, body string) (*HTTPResponse, error) {
	if w.client == nil {
		return nil, errNoHTTP
	}
	select {
	case w.open <- struct{}{}:
		defer func() { <-w.open }()
	default:
		return nil, errBusy
	}
	ctx, cancel := context.WithTimeout(context.Background(), webTimeout)
	defer cancel()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	request, err := http.NewRequestWithContext(ctx, method, url, content)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", "rampart")
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	response, err := w.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err != nil {
		return nil, fmt.Errorf("reading the answer of %s: %w", url, err)
	}
	return &HTTPResponse{response.StatusCode, string(text), response.Header}, nil
}

// remoteFunctions ask other machines. Their failures are failures of the run, but
// for LookupHost, which then finds nothing.
func (e *Env) remoteFunctions() []function {
	return []function{
		e.bodiless("HTTPGet", http.MethodGet),
		e.bodiless("HTTPHead", http.MethodHead),
		{"HTTPPost", new(func(string, string, string) (*HTTPResponse, error)), remote, func(a args) (any, error) {
			s, err := a.texts(3)
			if err != nil {
				return nil, err
			}
			return e.web.send(http.MethodPost, s[0], map[string]string{"Content-Type": s[1]}, s[2])
		}},
		{"HTTPRequest", new(func(string, string, map[string]any, string) (*HTTPResponse, error)), remote, func(a args) (any, error) {
			s, err := a.texts(2)
			if err != nil {
				return nil, err
			}
			given, ok := a[2].(map[string]any)
			if !ok {
				return nil, fmt.Errorf("argument 3 is %s, a map is needed", typeName(a[2]))
			}
			body, err := a.text(3)
			if err != nil {
				return nil, err
			}
			headers := make(map[string]string, len(given))
			for name, value := range given {
				headers[name] = fmt.Sprint(value)
			}
			return e.web.send(s[0], s[1], headers, body)
		}},
		{"CrowdsecCTI", new(func(string) (*SmokeItem, error)), remote, func(a args) (any, error) {
			s, err := a.text(0)
			if err != nil {
				return nil, err
			}
			return e.cti.item(s)
		}},
		{"LookupHost", new(func(string) []string), remote, func(a args) (any, error) {
			s, err := a.text(0)
			if err != nil {
				return nil, err
			}
			return e.lookupHost(s), nil
		}},
	}
}

func (e *Env) bodiless(name, method string) function {
	return function{name, new(func(string) (*HTTPResponse, error)), remote, func(a args) (any, error) {
		url, err := a.text(0)
		if err != nil {
			return nil, err
		}
		return e.web.send(method, url, nil, "")
	}}
}

// lookupHost returns the addresses of a host; of an address that address.
func (e *Env) lookupHost(host string) []string {
	out := []string{}
	if a := address(host); a.IsValid() {
		return append(out, host)
	}
	if e.resolver == nil {
		return out
	}
	addrs, _ := e.resolver.Forward(context.Background(), host)
	for _, a := range addrs {
		out = append(out, a.String())
	}
	return out
}
