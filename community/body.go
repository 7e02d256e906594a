package community

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
)

// bounded reads at most so many bytes; where there are more, that is an error and not
// an end, so that half of something is never taken for all of it.
type bounded struct {
	r     io.Reader
	left  int64
	limit int64
}

func newBounded(r io.Reader, limit int64) *bounded { return &bounded{r: r, left: limit, limit: limit} }

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		var one [1]byte
		if n, err := io.ReadFull(b.r, one[:]); n == 0 {
			return 0, err
		}
		return 0, fmt.Errorf("more than %d MiB", b.limit>>20)
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// gunzipped returns what r holds, unpacked if it is gzip, by its first bytes.
func gunzipped(r io.Reader) (io.Reader, error) {
	b := bufio.NewReaderSize(r, 64<<10)
	head, err := b.Peek(2)
	if err != nil || !bytes.Equal(head, []byte{0x1f, 0x8b}) {
		return b, nil // shorter ones, and what ails them, are for the reader to find out
	}
	return gzip.NewReader(b)
}

// content returns the body of an answer without its content encoding.
func content(res *http.Response) (io.Reader, error) {
	switch e := res.Header.Get("Content-Encoding"); e {
	case "", "identity":
		return res.Body, nil
	case "gzip":
		return gzip.NewReader(res.Body)
	default:
		return nil, fmt.Errorf("answer in encoding %.20q: expected gzip or none", e)
	}
}

// gzipped returns data packed.
func gzipped(data []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(data) // a buffer takes everything
	_ = w.Close()
	return out.Bytes()
}
