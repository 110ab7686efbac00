# The commands a user or a developer types. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
GO ?= go

# Tests run git with no configuration but their own.
export GIT_CONFIG_GLOBAL := /dev/null
export GIT_CONFIG_NOSYSTEM := 1

# These programs are built as the devstack builds its parts (examples/devstack/build.go): what they have in common is compiled
# once, which halves the time to a first demo.
LEAN := CGO_ENABLED=0 GOGC=400
LEANFLAGS := -trimpath -gcflags=all=-dwarf=false

# What `secretsync version` says: of the commit alone and not of the time or place of the build, so that the same commit makes
# the same bytes anywhere. Without a checkout say them yourself: make VERSION=... COMMIT=... DATE=...
VERSION = $(shell git describe --tags --always --abbrev=12 --dirty 2>/dev/null)
COMMIT = $(shell git rev-parse HEAD 2>/dev/null)
DATE = $(shell TZ=UTC0 git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd 2>/dev/null)
PROGRAM = -buildvcs=false $(LEANFLAGS) -ldflags "-s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT) -X main.date=$(DATE)"

.PHONY: help build lint test proof fuzz vuln devstack demo bench image release always
help: ## list these commands
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/secretsync
	$(LEAN) $(GO) build $(PROGRAM) -o bin/secretsync ./cmd/secretsync

lint: ## gofmt, go vet, staticcheck
	@unformatted=$$(git ls-files '*.go' | xargs gofmt -l); \
	  [ -z "$$unformatted" ] || { echo "not gofmt-ed: $$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(LEAN) $(GO) vet -C examples/image $(LEANFLAGS) ./...
	$(LEAN) $(GO) vet -C examples/deploy $(LEANFLAGS) ./...
	staticcheck=$$($(GO) tool -n staticcheck); for module in image deploy; do (cd examples/$$module && CGO_ENABLED=0 $$staticcheck ./...); done

test: lint ## everything: lint, unit, integration and whole-program tests
	@$(LEAN) $(GO) run $(LEANFLAGS) ./examples/devstack/build -forge >/dev/null
	@command -v chromium chromium-browser google-chrome >/dev/null || echo "No browser: the console's stories are skipped. Debian's package chromium brings one."
	$(GO) test -race -timeout 45m ./...
	$(LEAN) $(GO) test -C examples/deploy $(LEANFLAGS) ./...
	$(LEAN) $(GO) test -C examples/image $(LEANFLAGS) ./...

devstack: ## build the real parts that tests, demo and bench run against, once
	@$(LEAN) $(GO) run $(LEANFLAGS) ./examples/devstack/build >/dev/null

# What is downloaded in the background is for the parts, which the demonstration builds while it runs.
demo: ## see it at work on real parts; FORGE=1 with a forge, DEMO=once ends after the checks
	@test -e .cache/devstack || { \
	  echo "Building secretsync and the demonstration from source, a minute or two the first time."; \
	  for module in vault kubernetes $(if $(FORGE),gitea); do \
	    (cd examples/devstack/$$module && GOWORK=off $(GO) list -deps ./... >/dev/null 2>&1) & \
	  done; }
	@$(MAKE) --no-print-directory --silent build
	@$(LEAN) $(GO) build $(LEANFLAGS) -ldflags "-s -w" -o bin/demo ./examples/demo && exec bin/demo

# Nothing of whose machine it is has a say in how these are built: neither the environment nor what `go env -w` wrote, which counts
# where a variable is empty. What stands here are the defaults; of the one that has none but empty, GOEXPERIMENT, PACK sees to it.
PLAIN := GOFLAGS=-mod=readonly GOFIPS140=off GOAMD64=v1 GOARM64=v8.0 GO386=sse2 GOARM=7 GOMIPS=hardfloat GOMIPS64=hardfloat GOPPC64=power8 GORISCV64=rva20u64
bin/platforms/%/secretsync: always
	@echo "building secretsync for $*"
	@env -u GOEXPERIMENT $(PLAIN) GOOS=$(*D) GOARCH=$(*F) $(LEAN) $(GO) build $(PROGRAM) -o $@ ./cmd/secretsync

PACK = $(LEAN) $(GO) run -C examples/image $(LEANFLAGS) .
ABOUT = -version '$(VERSION)' -commit '$(COMMIT)' -date '$(DATE)' -root $(CURDIR)

IMAGES ?= linux/amd64 linux/arm64
image: $(IMAGES:%=bin/platforms/%/secretsync) ## an OCI image as bin/image/*.oci.tar, without an engine; PUSH=registry/name:tag pushes it
	@$(PACK) image $(ABOUT) -out $(CURDIR)/bin/image -push '$(PUSH)' $(^:%=$(CURDIR)/%)

RELEASES ?= linux/amd64 linux/arm64 darwin/amd64 darwin/arm64
HERE := $(subst $() ,/,$(shell $(GO) env GOHOSTOS GOHOSTARCH))
release: bin/platforms/$(HERE)/secretsync $(RELEASES:%=bin/platforms/%/secretsync) ## archives of the program for linux and darwin in bin/release, with checksums
	@rm -rf bin/docs && mkdir -p bin/docs/completions
	@$< docs --man bin/docs/man1
	@$< completion bash >bin/docs/completions/secretsync.bash
	@$< completion zsh >bin/docs/completions/_secretsync
	@$< completion fish >bin/docs/completions/secretsync.fish
	@$(PACK) release $(ABOUT) -out $(CURDIR)/bin/release -docs $(CURDIR)/bin/docs $(RELEASES:%=$(CURDIR)/bin/platforms/%/secretsync)

bench: devstack ## measure against floors, write bench.json; BENCH=name,name selects
	$(GO) run ./examples/bench -run '$(BENCH)'

TENANTS ?= 1000
proof: devstack ## three replicas share TENANTS (1000) and lose nothing, whatever befalls them; some ten minutes
	SECRETSYNC_REPLICAS_TENANTS=$(TENANTS) $(GO) test -count=1 -v -timeout 60m -run '^TestReplicasLoseNothing' ./cmd/secretsync

FUZZTIME ?= 30s
fuzz: ## run each fuzz test for FUZZTIME (30s)
	@for package in $$($(GO) list ./...); do \
	  for name in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
	    $(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) $$package; \
	  done; \
	done

vuln: ## ask the Go vulnerability database; needs a network
	$(GO) run golang.org/x/vuln/cmd/govulncheck@v1.9.0 ./...
