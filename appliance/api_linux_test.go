package appliance

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

// TestAgentBansInTheRealKernel: whom an agent reports is dropped in the kernel, until
// the decision is deleted over the same API.
func TestAgentBansInTheRealKernel(t *testing.T) {
	f, ns := kernelNode(t)
	use(t, f.Appliance, compiled(t, Config{DataDir: f.dir, Firewall: FirewallConfig{Mode: FirewallNftables}, API: &APIConfig{Off: true}}))
	site := httptest.NewServer(f.LocalAPI(func(*http.Request) netip.Addr { return netip.MustParseAddr("192.0.2.99") }))
	defer site.Close()
	if err := apiOf(f.Appliance).registry.AddMachine("web-1", "password-of-web-1", true); err != nil {
		t.Fatal(err)
	}
	token := login(t, site.URL, "web-1")
	status, text := callAPI(t, fresh(), "POST", site.URL+"/v1/alerts", alertOf("192.0.2.7"), "Authorization", token)
	if status != 201 {
		t.Fatalf("pushing an alert: %d %s", status, text)
	}
	inKernel := func() bool {
		return strings.Contains(ns.Run(t, "nft", "list", "map", "inet", f.state().wall.table.Stats().Table, "ban4"), "192.0.2.7")
	}
	until(t, "the kernel drops it", inKernel)
	status, text = callAPI(t, fresh(), "DELETE", site.URL+"/v1/decisions?ip=192.0.2.7", "", "Authorization", token)
	if status != 200 || !strings.Contains(text, `"1"`) {
		t.Errorf("deleting the decision: %d %s", status, text)
	}
	until(t, "the kernel lets it through", func() bool { return !inKernel() })
}
