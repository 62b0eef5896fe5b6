# Every target sets up what it needs on a fresh machine: Go, gcc, make and git
# are all that is taken for granted.

GO       ?= go
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  := -s -w -X trunkline/internal/service.Version=$(VERSION)
# With room for garbage compiling takes less of the processors, for some more
# memory.
ROOM     := GOGC=200
BUILD    := CGO_ENABLED=0 $(ROOM) $(GO) build -trimpath -ldflags "$(LDFLAGS)"
# The agent speaks HTTP/1.1 with control: HTTP/2 is half a megabyte of its size.
AGENT    := -tags nethttpomithttp2
TOOLS    := $(CURDIR)/bin/tools

GOLANGCI  := v2.15.0
# The newest h2spec that the module proxy resolves.
H2SPEC    := v2.2.1

# What looks at pages for what keeps people out. Its sum is of the package.
AXE       := 4.14.0
AXE_SUM   := 2277b0a3ef47af9b52497faa3e71598e86e0a0e5e6eb295207a5657ede4709af
AXE_JS    := $(TOOLS)/axe-core-$(AXE).js
NO_AXE    := SKIPPED: whether pages are for everybody (TestAxe): axe-core comes by npm, which is not installed here or does not reach its registry

# As BUILD compiles: what is not watched is then compiled once for all.
PLAIN := CGO_ENABLED=0 GOFLAGS=-trimpath $(GO)

# Debian packages that tests drive: a browser and web servers nobody here wrote, and
# systemd-analyze. Package systemd alone replaces no init, and starts nothing.
TEST_DEBS  := chromium curl fossil haproxy iproute2 nginx postgresql prometheus systemd wrk
BENCH_DEBS := wrk nginx haproxy

# SQLite is C made into Go, and it and the arithmetic below TLS and passwords take
# four times as long where every access is watched. Only those: of generic code
# that another package instantiates, too, the linker may keep the copy that is not
# watched, and see races that are none.
RACE := -race -trimpath $(foreach p,modernc.org/sqlite/lib golang.org/x/crypto/argon2 golang.org/x/crypto/blake2b \
        $(addprefix crypto/internal/fips140/,edwards25519/... nistec/... mlkem sha3 bigmod),-gcflags=$p=-race=false)

# What make test watches for races: where goroutines share what they hold, and no
# database is needed, which would have to be compiled a second time. `make race`
# watches the others.
WATCHED := ./relay/edge ./internal/evtls ./internal/mux ./internal/tunnel ./relay/peer ./relay/route ./relay/trust ./relay/uplink \
        ./agent ./agent/coding ./agent/standby ./internal/bus ./internal/cork ./internal/nowait ./internal/placement ./internal/trace
# The longest go first.
OTHERS   = ./internal/testnet ./control/console ./relay ./cmd ./control/store ./dashboards ./loadtest ./bench ./control/fleet \
        $$($(GO) list ./... | grep -vxF "$$($(GO) list $(WATCHED))")
CORES := $(shell nproc 2>/dev/null || echo 2)
# Linking takes a third less without a table of symbols.
TESTS := -vet=off -shuffle=on -ldflags=-s

FUZZTIME ?= 20s

.PHONY: help build run test test-watched test-others test-counts race check lint others fuzz fuzz-keep bench bench-peers bench-gate bench-gate-update bench-ci bench-ci-proof dashboards clean cross walk units cluster-test cluster-rows cluster-clocks cluster-short cluster-upgrade upgrade-from nats-server test-deps bench-deps axe h2spec

build: ## the three programs, in bin/
	$(BUILD) -o bin/ ./cmd/trunkline ./cmd/trunkline-loadtest
	$(BUILD) $(AGENT) -o bin/ ./cmd/trunkline-agent

help: ## what there is to make
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 20

run: build ## everything with a simulated PBX, until Ctrl-C
	bin/trunkline demo

# Three at once, since most wait much, for a browser, for a process to be missed,
# for Debian's packages. `make check` builds for all processors.
test: ## all tests, the tunnels' with the race detector
	@$(MAKE) --no-print-directory -j3 test-others test-watched test-counts cross bench-gate cluster-short ARCHES=amd64
	@test -f $(AXE_JS) || echo "$(NO_AXE)"

test-watched: test-deps h2spec
	@$(ROOM) $(GO) build $(RACE) $(WATCHED)
	GORACE=atexit_sleep_ms=20 $(GO) test $(RACE) $(TESTS) -p $(CORES) -timeout 15m $(WATCHED)

# With more at once each takes more of the processors, and all longer.
test-others: test-deps axe build
	$(PLAIN) test $(TESTS) -p $$(($(CORES) + 1)) -timeout 15m $(OTHERS)

test-counts: test-deps build # what the race detector falsifies or makes long
	$(PLAIN) test $(TESTS) -run 'Alloc|IdleSessions|Memory(IsBounded|OfLarge)|StalledDownloads|LeftOf(Tunnels|Downloads)' ./internal/mux ./relay/edge

# After build, so that what they share is compiled once.
cross h2spec nats-server: | build

check: lint others cross test race ## what a change must pass before it is committed

race: test-deps ## the tests that make test runs without the race detector, with it
	GORACE=atexit_sleep_ms=20 $(GO) test $(RACE) $(TESTS) -p $(CORES) -timeout 20m $(OTHERS)

lint: $(TOOLS)/golangci-lint-$(GOLANGCI)
	@test -z "$$(gofmt -l .)" || { echo "gofmt would change:"; gofmt -l .; exit 1; }
	$(PLAIN) vet ./...
	$(TOOLS)/golangci-lint-$(GOLANGCI) run ./...

# Elsewhere than on Linux there are no loops: goroutines serve the same.
SYSTEMS := darwin/arm64 freebsd/amd64 windows/amd64

others: ## the relay and the agent build for macOS, FreeBSD and Windows, with the tests of what is other there
	@set -e; export CGO_ENABLED=0; for o in $(SYSTEMS); do \
	  echo "== $$o"; export GOOS=$${o%/*} GOARCH=$${o#*/}; \
	  $(GO) build ./relay/... ./agent/... ./cmd/trunkline-agent; \
	  $(GO) vet ./internal/ownfile ./internal/mux; \
	  test $$GOOS = windows || $(GO) vet ./internal/evtls ./internal/tunnel ./relay/edge; \
	done

fuzz: ## every fuzz target for FUZZTIME
	@set -e; for p in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p 2>/dev/null | grep '^Fuzz' || true); do \
	    echo "== $$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$p; \
	  done; done

# Whoever fixes what an input found renames that input: it stays then, whatever its size.
fuzz-keep: ## the smallest inputs that fuzz found new code with become seeds, which test runs
	@scripts/fuzz-keep

bench: bench-deps build ## relay CPU per request and per GB, memory per idle tunnel
	$(GO) run ./bench

bench-peers: bench-deps build ## the relay beside frp, piko, chisel and rathole, those of them that are on PATH
	$(GO) run ./bench --peers

bench-gate: build ## fails if the relay allocates, calls the kernel or holds more than bench/gate.json says
	$(PLAIN) run ./bench gate

bench-gate-update: build ## records what bench-gate counts now, better or worse
	$(GO) run ./bench gate --update

# The commit that bench-ci compares with, and where its results are kept.
BASE          ?= HEAD~1
BENCH_HISTORY ?= bin/bench/history.jsonl

bench-ci: build ## fails if the relay does worse than where this branch left BASE, beyond the noise
	$(GO) run ./bench ci --base "$(BASE)" --history "$(BENCH_HISTORY)" --summary "$(GITHUB_STEP_SUMMARY)"

bench-ci-proof: build ## shows that bench-ci sees a sleep and allocations in the relay's copy loop
	@for p in bench/ci/*.patch; do echo "== $$p"; \
	  if $(GO) run ./bench ci --patch $$p --only 'way=down/edge=http$$' --history bin/bench/proof.jsonl; then echo "$$p was not noticed"; exit 1; fi; \
	done; echo "each was noticed"

walk: test-deps build nats-server ## as root: docs/operations.md's three machines, by its own commands
	TRUNKLINE_WALK=1 $(PLAIN) test -vet=off -count=1 -v ./configs/walk

units: test-deps build nats-server ## as root: configs/systemd's units, under systemd itself
	@scripts/debs systemd-container
	TRUNKLINE_BOOT=1 $(PLAIN) test -vet=off -count=1 -v ./configs/boot

# One after the other, each whatever became of those before.
CLUSTER_TESTS := walk units cluster-rows cluster-clocks cluster-upgrade

cluster-test: upgrade-from ## all that may befall an installation: walk, units, cluster-rows, cluster-clocks, cluster-upgrade
	@failed=; for t in $(CLUSTER_TESTS); do echo "== $$t"; $(MAKE) --no-print-directory $$t || failed="$$failed $$t"; done; \
	test -z "$$failed" || { echo "cluster-test: failed:$$failed"; exit 1; }

cluster-rows: test-deps build nats-server ## lets every part of a whole installation fail in turn, under load
	bin/trunkline-loadtest cluster --nats-server $(TOOLS)/nats-server --json bin/cluster.json

# The same programs, but for clocks that can be set: in all of them package time is
# another one, so all is compiled.
CLOCKS      := bin/own-clock
BUILD_CLOCK  = $(BUILD) -overlay $$(scripts/own-clock $(CLOCKS)/_overlay)

cluster-clocks: test-deps build ## sets the clocks of whole processes, under load
	$(BUILD_CLOCK) -o $(CLOCKS)/ ./cmd/trunkline github.com/nats-io/nats-server/v2
	$(BUILD_CLOCK) $(AGENT) -o $(CLOCKS)/ ./cmd/trunkline-agent
	bin/trunkline-loadtest cluster clock-control clock-relay clock-nats clock-agents clock-all --devices 200 --visits 30 \
	  --own-clocks --trunkline $(CLOCKS)/trunkline --nats-server $(CLOCKS)/nats-server

cluster-short: test-deps build nats-server
	bin/trunkline-loadtest cluster --short --devices 30 --visits 15 --nats-server $(TOOLS)/nats-server

# What nodes are upgraded from, and what agents stay at: the last release, and
# until there is one, the commit before visits were reported in a relay's own name.
UPGRADE_FROM ?= $(or $(shell git describe --tags --abbrev=0 HEAD^ 2>/dev/null),3f49e3e)
FROM         := bin/upgrade-from
BUILD_FROM    = CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w -X trunkline/internal/service.Version=$(UPGRADE_FROM)"

# Asked first: cluster-test comes to it after more than an hour.
upgrade-from:
	@git cat-file -e "$(UPGRADE_FROM)^{commit}" 2>/dev/null || { \
	  echo "cluster-upgrade: this clone has no commit $(UPGRADE_FROM) to upgrade from: git fetch --unshallow brings it, or UPGRADE_FROM= names another" >&2; exit 1; }

cluster-upgrade: upgrade-from test-deps build nats-server ## upgrades a whole installation from UPGRADE_FROM, node by node, under load
	@rm -rf $(FROM) && mkdir -p $(FROM)/src && git archive "$(UPGRADE_FROM)" | tar -x -C $(FROM)/src && \
	(cd $(FROM)/src && $(BUILD_FROM) -o .. ./cmd/trunkline && $(BUILD_FROM) $(AGENT) -o .. ./cmd/trunkline-agent) && rm -rf $(FROM)/src && \
	bin/trunkline-loadtest cluster upgrade --devices 60 --visits 30 --from $(CURDIR)/$(FROM)/trunkline --nats-server $(TOOLS)/nats-server

# The very server that the bus embeds, as a program of its own.
nats-server:
	@$(BUILD) -o $(TOOLS)/nats-server github.com/nats-io/nats-server/v2

dashboards: ## dashboards/json and docs/metrics.md, from the code
	$(GO) run ./dashboards

clean:
	rm -rf bin data

# The agent's size and its targets are a promise: linux amd64, arm64, armv7,
# each under 12 MB, and no control, relay, NATS or SQL in it.
ARCHES ?= amd64 arm64 arm

cross:
	@set -e; for a in $(ARCHES); do \
	  GOARCH=$$a GOARM=7 GOOS=linux $(BUILD) $(AGENT) -o bin/cross/trunkline-agent-$$a ./cmd/trunkline-agent; \
	  size=$$(stat -c %s bin/cross/trunkline-agent-$$a); echo "trunkline-agent linux/$$a: $$size bytes"; \
	  test $$size -lt 12000000 || { echo "over 12 MB"; exit 1; }; \
	done
	@! $(GO) list -deps ./cmd/trunkline-agent | grep -E '^(database/sql|github.com/nats-io|github.com/valyala|trunkline/(relay|control)|trunkline/internal/bus)'

test-deps:
	@scripts/debs $(TEST_DEBS)

bench-deps:
	@scripts/debs $(BENCH_DEBS)

$(TOOLS)/golangci-lint-$(GOLANGCI):
	GOBIN=$(TOOLS) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI)
	mv $(TOOLS)/golangci-lint $@

# Without it the test that needs h2spec is skipped; with CI=true it fails.
h2spec:
	@test -f $(TOOLS)/h2spec-$(H2SPEC) || $(MAKE) --no-print-directory $(TOOLS)/h2spec-$(H2SPEC) || echo "no h2spec: its test is skipped"

$(TOOLS)/h2spec-$(H2SPEC):
	GOBIN=$(TOOLS) $(PLAIN) install github.com/summerwind/h2spec/cmd/h2spec@$(H2SPEC)+incompatible
	mv $(TOOLS)/h2spec $@

# Where there is no npm, or no way to its registry, the tests that need axe are
# skipped, and `make test` says so here and at its end; with CI=true they fail.
axe:
	@test -f $(AXE_JS) || { command -v npm >/dev/null && $(MAKE) --no-print-directory $(AXE_JS); } || echo "$(NO_AXE)"

$(AXE_JS):
	@mkdir -p $(TOOLS)
	cd $(TOOLS) && npm pack --silent axe-core@$(AXE)
	cd $(TOOLS) && echo "$(AXE_SUM)  axe-core-$(AXE).tgz" | sha256sum --check --quiet
	cd $(TOOLS) && tar -xzOf axe-core-$(AXE).tgz package/axe.min.js >axe.tmp && mv axe.tmp $@ && rm axe-core-$(AXE).tgz
