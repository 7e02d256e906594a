package captcha

import (
	"bytes"
	"context"
	"encoding/hex"
	"image"
	"image/color"
	"image/png"
	"sync"
	"time"

	dchest "github.com/dchest/captcha"
)

const (
	pictureHeight = 80
	// digitWidth is what the library gives a digit at this height, pictureMargin
	// what it needs beside them all to vary their place.
	digitWidth    = 26
	pictureMargin = 64
)

// pictureWidth is the width in pixels of a picture of n digits.
func pictureWidth(n int) int { return pictureMargin + n*digitWidth }

// pictureRate is what one node draws at most. At about half a millisecond each
// that is a tenth of a core, however many addresses a flood comes from.
var pictureRate = rate{period: 5 * time.Millisecond, burst: 400}

// painter draws pictures, a bounded number at once and per second. A drawing is
// used once: drawing the same digits twice would let the noise be averaged away.
type painter struct {
	meter   meter
	slots   chan struct{}
	encoder png.Encoder
	palette color.Palette
}

func newPainter(now func() time.Time) *painter {
	return &painter{
		meter: meter{rate: pictureRate, now: now},
		slots: make(chan struct{}, 2),
		encoder: png.Encoder{
			CompressionLevel: png.BestSpeed, BufferPool: &encoderPool{},
		},
		// White paper, for the library's is transparent and would show a dark
		// page, and one ink: the library draws its noise in colours of their own,
		// which a program can simply leave out.
		palette: color.Palette{color.White, color.RGBA{R: 0x1d, G: 0x2b, B: 0x3a, A: 0xff}},
	}
}

// draw returns a PNG of digits. retry is not zero if the node is busy.
func (p *painter) draw(ctx context.Context, id [16]byte, digits string) (png []byte, retry time.Duration, err error) {
	if ok, retry := p.meter.take(); !ok {
		return nil, retry, nil
	}
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return nil, 0, ctx.Err()
	}
	picture := dchest.NewImage(hex.EncodeToString(id[:]), values(digits), pictureWidth(len(digits)), pictureHeight).Paletted
	ink(picture)
	picture.Palette = p.palette
	var out bytes.Buffer
	out.Grow(2048)
	if err := p.encoder.Encode(&out, picture); err != nil {
		return nil, 0, err
	}
	return out.Bytes(), 0, nil
}

// ink leaves two colours, paper 0 and ink 1, and closes the holes between the
// dots of which the library makes its strokes: they cost people more than they
// cost a program.
func ink(picture *image.Paletted) {
	for i, colour := range picture.Pix {
		picture.Pix[i] = min(colour, 1)
	}
	dots, stride := bytes.Clone(picture.Pix), picture.Stride
	for y := 1; y < picture.Rect.Dy()-1; y++ {
		for i := y*stride + 1; i < (y+1)*stride-1; i++ {
			picture.Pix[i] |= dots[i-1]&dots[i+1] | dots[i-stride]&dots[i+stride]
		}
	}
}

// encoderPool keeps the encoder's buffers, of some 900 kB each, for reuse.
type encoderPool struct{ pool sync.Pool }

func (p *encoderPool) Get() *png.EncoderBuffer {
	b, _ := p.pool.Get().(*png.EncoderBuffer)
	return b
}

func (p *encoderPool) Put(b *png.EncoderBuffer) { p.pool.Put(b) }

// newDigits returns n random digits as ASCII.
func newDigits(n int) string {
	d := dchest.RandomDigits(n)
	for i := range d {
		d[i] += '0'
	}
	return string(d)
}

// values returns ASCII digits as the numbers that the library wants.
func values(digits string) []byte {
	d := []byte(digits)
	for i := range d {
		d[i] -= '0'
	}
	return d
}
