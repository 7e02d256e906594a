package event

import (
	"math/rand/v2"
	"testing"
	"time"
	_ "time/tzdata" // a bare machine has none
)

// TestStamp: a stamp says what parsing its text says, and knows no other text.
func TestStamp(t *testing.T) {
	paris, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	zones := []*time.Location{time.UTC, paris, time.FixedZone("", 7200), time.FixedZone("", 0), time.FixedZone("CET", 0), time.FixedZone("", 1234)}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		at := time.Unix(rng.Int64N(300_000_000_000)-80_000_000_000, rng.Int64N(3)*rng.Int64N(1e9)).In(zones[rng.IntN(len(zones))])
		s := NewStamp(at)
		want, wantErr := time.Parse(time.RFC3339Nano, at.Format(time.RFC3339Nano))
		got, gotErr := s.Of(s.Text())
		if (gotErr == nil) != (wantErr == nil) || got.String() != want.String() {
			t.Fatalf("%s: stamp says %s, %v; parsing %s, %v", s.Text(), got, gotErr, want, wantErr)
		}
	}
	s := NewStamp(time.Unix(1, 0).UTC())
	if got, err := s.Of("2024-04-10T14:30:00+02:00"); err != nil || got.Unix() != 1712752200 {
		t.Errorf("another text is taken for %s, %v", got, err)
	}
	if _, err := s.Of(""); err == nil {
		t.Error("no text has a time")
	}
	if _, err := (Stamp{}).Of(""); err == nil {
		t.Error("an empty stamp has a time")
	}
}
