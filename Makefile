# The everyday commands. `make` alone lists them.

GO      ?= go
BIN     := bin
LINTER  := $(BIN)/golangci-lint
# Two test programs at once: the suites place calls in real time and want a CPU each.
# The acceptance tests look at every 20 ms of what was recorded, and run alone.
PARALLEL ?= 2
FUZZTIME ?= 10s
# More flags of the demo: DEMO="--language en --once".
DEMO    ?=
# What `perezvon version` says; a tarball without git says so.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

.PHONY: help
help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/perezvon
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o $(BIN)/perezvon ./cmd/perezvon

.PHONY: demo
demo: build ## Place a real callback between two phones on this machine, tell a CRM, and show it
	$(GO) build -o $(BIN)/portal ./internal/bitrix24/bitrixtest/portal
	@$(BIN)/portal -user 11=101 $(BIN)/perezvon demo --bitrix24 {webhook} $(DEMO)

.PHONY: test
test: peers asterisk tidy lint build ## Everything that must hold: dependencies, lint, all tests with the race detector
	$(GO) test -race -timeout 15m -p $(PARALLEL) $$($(GO) list ./... | grep -v /internal/e2e$$)
	$(GO) test -race -timeout 20m ./internal/e2e

.PHONY: test-asterisk
test-asterisk: peers asterisk ## Also the acceptance tests on a real Asterisk, from the same source; not in test until it is steady
	$(GO) test -race -tags asterisk -timeout 30m -parallel 3 ./internal/e2e

.PHONY: peers
peers: ## Install the programs that tests call: other SIP phones, a browser, a database
	@scripts/install-peers

.PHONY: asterisk
asterisk: ## Set up the Asterisk 22 that tests call (two minutes, once)
	@scripts/install-asterisk

.PHONY: mariadb
mariadb: peers ## Run a MariaDB with FreePBX's tables until Ctrl-C
	@scripts/mariadb

.PHONY: tidy
tidy: ## Check that go.mod and go.sum are what the code needs
	$(GO) mod tidy -diff
	$(GO) mod verify

.PHONY: lint
lint: $(LINTER) ## Check style and common mistakes
	$(LINTER) run ./...

.PHONY: fmt
fmt: $(LINTER) ## Format the code and order its imports
	$(LINTER) fmt ./...

# Built apart from the product: its dependencies are its own. A minute and a half at first.
$(LINTER): tools/golangci-lint/go.mod tools/golangci-lint/go.sum
	$(GO) -C tools/golangci-lint build -o ../../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@touch $@

.PHONY: bench
bench: ## Measure the hot paths: time and allocations a packet
	$(GO) test -run '^$$' -bench . -benchmem ./internal/...

.PHONY: fuzz
fuzz: ## Feed every parser with nonsense, FUZZTIME (10s) each
	@scripts/fuzz $(FUZZTIME)

.PHONY: generate
generate: ## Make again what is made from other files: pages, spoken prompts (needs espeak-ng)
	$(GO) generate ./...

.PHONY: clean
clean: ## Remove what was built here
	rm -rf $(BIN)
