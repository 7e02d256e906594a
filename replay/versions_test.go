package replay_test

import "testing"

// TestVersions: a file of the Hub as it is has the version that the index gives it,
// also where several versions were the same text. CrowdSec compatible: the highest.
func TestVersions(t *testing.T) {
	for range 8 {
		_, content, _, err := servers(t).Load()
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range content.Items {
			if i.Name == "crowdsecurity/http-generic-bf" && i.Version != "0.9" {
				t.Fatalf("%s has version %s; 0.9 is the same text, and newer", i.Name, i.Version)
			}
		}
	}
}
