# Everything a developer runs. Nothing here needs root; what can use it says so.
GO      ?= go
TAGS    ?= nobadger,nomysql,nopgx
LDFLAGS ?= -w -s
PKGS    ?= ./...
export CGO_ENABLED = 0

.PHONY: build demo test test-clients skipped soak race lint bench fmt

build: ## bin/rampart: Caddy with Rampart in it
	$(GO) build -trimpath -tags $(TAGS) -ldflags "$(LDFLAGS)" -o bin/rampart ./cmd/rampart

demo: build ## attack the proxy and watch: no root, no network
	$(GO) run ./demo bin/rampart

# What the tests will leave out here, since go test keeps it to itself.
skipped:
	@[ "$$(id -u)" = 0 ] || echo "skipped: tests that change nftables and namespaces need root"
	@for tool in nft ip chromium redis-server; do command -v $$tool >/dev/null || echo "skipped: tests that need $$tool, which is not installed"; done
	@[ -n "$$RAMPART_CLIENTS" ] || echo "skipped: tests of CrowdSec's own clients, which make test-clients runs"
	@[ -d "$${RAMPART_SHARED:-../shared}" ] || echo "skipped: tests on data that is not part of this repository (RAMPART_SHARED)"

test: skipped ## what CI runs; kernel tests need root, browser tests need chromium, tests of a fleet redis-server, else they are skipped and say so
	$(GO) vet -tags $(TAGS) $(PKGS)
	$(GO) test -tags $(TAGS) -timeout 30m $(PKGS)

test-clients: ## CrowdSec's own bouncers, agent and cscli, from Debian's packages, against our Local API; -v: each test says whether it ran
	@clients=$$(.ci/clients) && if [ -n "$$clients" ]; then \
		RAMPART_CLIENTS=$$clients $(GO) test -v -tags $(TAGS) -count 1 -timeout 20m -run '^TestClient' ./internal/e2e; fi

race: ## the tests under the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race -short -tags $(TAGS) -timeout 40m $(PKGS)

soak: ## long fuzz runs, mass kills, millions of mutations: before an issue is closed
	./soak.sh

bench: ## the figures of docs/benchmarks.md; ./bench.sh -w writes them there
	./bench.sh

fmt:
	gofmt -l -w .

lint: ## formatting, vet, and the layers
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "run make fmt"; exit 1; }
	$(GO) vet -tags $(TAGS) $(PKGS)
	$(GO) test -run 'TestLayers|TestProductionIsFreeOfTests|TestHouse' .
