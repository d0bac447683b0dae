# Go, git and make are all that this needs; go fetches the rest.

GO       ?= go
FUZZTIME ?= 10s
BENCH    ?= .
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo unversioned)
LDFLAGS  := -X main.version=$(VERSION)

# RACE=1 builds the binaries with the race detector, which needs a C compiler; without it they need no C library.
ifdef RACE
BUILD := CGO_ENABLED=1 $(GO) build -race
else
BUILD := CGO_ENABLED=0 $(GO) build
endif

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## bin/overlayd, bin/overlayctl, bin/overlaylab (RACE=1: with the race detector)
	@mkdir -p bin
	$(BUILD) -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/overlayd ./cmd/overlayctl ./cmd/overlaylab

.PHONY: demo
demo: build needs-root ## the main job, as root: Belmont loses Boston, and hops over Cambridge
	bin/overlaylab run scripts/scenarios/boston.yaml

.PHONY: test
test: build ## all tests; the namespace scenarios among them, if this is root
	$(GO) run ./scripts/testreport -count=1 -p 1 -timeout 25m ./...

.PHONY: race
race: ## the tests under the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race -short -timeout 20m ./...

# Without a limit to minimizing, a target whose coverage varies from run to run spends its whole time on that.
.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME=10s
	@grep -rlE '^func Fuzz' --include='*_test.go' . | sort | while read -r file; do \
		for target in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9_]+)\(.*/\1/p' "$$file"); do \
			echo "$$(dirname "$$file") $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 100x "$$(dirname "$$file")" || exit 1; \
		done; \
	done

.PHONY: sim
sim: ## the simulated networks, of up to 1,000 nodes, and pairs, and what they show
	OVERLAYD_SIM_NODES=1000 OVERLAYD_SIM_HOURS=24 GOGC=400 GOMEMLIMIT=12GiB $(GO) test -count=1 -v -timeout 20m ./internal/lab/sim ./internal/lab/pair

.PHONY: simulate
simulate: build ## the scenarios in simulation, from many seeds; needs no root
	bin/overlaylab sim --short --repeat 20 scripts/scenarios/*.yaml || [ $$? = 2 ] # 2: not all of it can be simulated

SEEDS    ?= 200
CHAOS    ?= 20m

.PHONY: chaos
chaos: build ## all kinds of faults at once: SEEDS=200 in simulation and, as root, CHAOS=20m with daemons
	bin/overlaylab chaos --seeds $(SEEDS)
	@if [ "$$(id -u)" = 0 ]; then bin/overlaylab chaos --real --for $(CHAOS); \
	else echo "the run with daemons needs root: it is left out"; fi

.PHONY: scale
scale: ## what a node costs in networks of 10 to 1,000: the table of docs/scale.md
	OVERLAYD_SIM_SCALE=1 GOGC=400 $(GO) test -count=1 -v -timeout 20m -run '^TestScale$$' ./internal/lab/sim
	$(GO) test -count=1 -v -run '^TestMemoryOf' ./internal/node

STUDY    ?= planetlab-sample

.PHONY: study
study: ## what algorithms are worth in a measured network: STUDY=planetlab-sample, or another one of scripts/studies
	OVERLAYD_STUDY=$(STUDY) GOGC=400 $(GO) test -count=1 -v -timeout 2h -run '^TestStudies$$' ./internal/lab/study

.PHONY: bench
bench: build needs-root ## throughput and CPU against wireguard-go alone in one run, as root; then the Go benchmarks
	bin/overlaylab bench
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem ./...

.PHONY: lint
lint: ## gofumpt, go vet, staticcheck
	@unformatted=$$($(GO) tool gofumpt -l $$(git ls-files '*.go')); \
	if [ -n "$$unformatted" ]; then echo "go tool gofumpt -w would change:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

.PHONY: verify
verify: lint test ## what CI runs

.PHONY: clean
clean: ## remove bin/
	rm -rf bin

.PHONY: needs-root
needs-root:
	@[ "$$(id -u)" = 0 ] || { echo "this makes network namespaces: run it as root, such as with sudo" >&2; exit 1; }
