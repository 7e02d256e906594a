package needle

import (
	"slices"
	"strings"
)

const (
	// fewTexts are tried one after the other: up to here that is the fastest way.
	fewTexts = 3
	// hashBits is the size of the table of beginnings: 1 KiB, which stays cached.
	hashBits = 13
)

// Set is a list of texts that are looked for together. Most of what it is asked
// about has none of them, and costs one table look-up a byte however many they are.
type Set struct {
	always bool     // the empty text, which is in every text, is among them
	few    []string // tried one after the other
	bytes  *[256]bool
	// begins has a bit for the hash of the first three bytes of each of the others.
	begins *[1 << hashBits / 64]uint64
	rest   map[[3]byte][]string
}

// NewSet makes a set of texts, which are compared byte for byte. An empty list is
// in no text.
func NewSet(texts []string) *Set {
	s := &Set{}
	if len(texts) <= fewTexts {
		s.few = slices.Clone(texts)
		return s
	}
	for _, t := range texts {
		switch len(t) {
		case 0:
			s.always = true
		case 1:
			if s.bytes == nil {
				s.bytes = new([256]bool)
			}
			s.bytes[t[0]] = true
		case 2:
			s.few = append(s.few, t)
		default:
			s.add(t)
		}
	}
	return s
}

func (s *Set) add(t string) {
	if s.begins == nil {
		s.begins, s.rest = new([1 << hashBits / 64]uint64), map[[3]byte][]string{}
	}
	h := hash(t[0], t[1], t[2])
	s.begins[h/64] |= 1 << (h % 64)
	k := [3]byte{t[0], t[1], t[2]}
	s.rest[k] = append(s.rest[k], t)
}

func hash(a, b, c byte) uint32 {
	return (uint32(a) | uint32(b)<<8 | uint32(c)<<16) * 0x9e3779b1 >> (32 - hashBits)
}

// In reports whether one of the set's texts occurs in text.
func (s *Set) In(text string) bool {
	if s.always {
		return true
	}
	for _, t := range s.few {
		if strings.Contains(text, t) {
			return true
		}
	}
	if s.bytes != nil {
		for i := range len(text) {
			if s.bytes[text[i]] {
				return true
			}
		}
	}
	if s.begins == nil {
		return false
	}
	for i := 0; i+2 < len(text); i++ {
		h := hash(text[i], text[i+1], text[i+2])
		if s.begins[h/64]&(1<<(h%64)) != 0 && s.here(text[i:]) {
			return true
		}
	}
	return false
}

// here reports whether text begins with one of the longer texts.
func (s *Set) here(text string) bool {
	for _, t := range s.rest[[3]byte{text[0], text[1], text[2]}] {
		if strings.HasPrefix(text, t) {
			return true
		}
	}
	return false
}
