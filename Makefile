# Everything a newcomer or the continuous integration runs. Nothing is downloaded but Go modules, a browser and PostgreSQL
# for the tests where there are none, and for `make assets` and `make drift` the packages of npm that are copied.

.DEFAULT_GOAL := help
SHELL := /bin/sh

# How long the tests of one package may take.
TEST_TIMEOUT ?= 30m

# Each test runs once without the race detector, on both databases. The fast ones (-short), which hold every list of
# tests on SQLite, run with it as well. It needs a C compiler, and is left out if there is none. SQLite itself, which is C
# translated to Go, is compiled without it: its races are not ours to find, and it would take ten times as long. Packages
# without goroutines of their own, and those that only run other processes, are not worth it.
RACE := $(if $(filter 1,$(shell go env CGO_ENABLED)),-race -gcflags='modernc.org/sqlite/lib=-race=false')
WITHOUT_RACE := /(conversation|e2e|lab|examples|internal/insights|starter|worker|gateway)(/|$$)

# How many end-to-end tests run at the same time. They wait more than they compute. No other package is tested
# meanwhile, because waits that are too short on a crowded machine would fail.
TEST_PARALLEL ?= 4

.PHONY: help demo dev build check test bench desk-load growth chaos layout lint vulncheck licences sbom release generate assets screenshots drift clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## tell the story of a transfer, with a real server, worker and desk
	@go run ./starter demo

dev: ## run everything on this machine, the HTTP API too, until Ctrl-C; data stay in .baton/
	@go run ./starter dev

build: ## build every package, and the programs into bin/
	go build ./...
	@mkdir -p bin
	@for main in worker gateway lab/bench; do echo "go build -o bin/$${main##*/} ./$$main" && go build -o "bin/$${main##*/}" "./$$main" || exit 1; done
	go build -o bin/baton ./starter

check: bin/golangci-lint ## the fast lane: tests without a server, a browser or PostgreSQL, and linters of what differs from main
	@tools/check/check.sh

test: ## run every test; the first time builds the Temporal dev server, which takes minutes
	@go test -count=1 -timeout $(TEST_TIMEOUT) -v -run '^TestBinary$$' ./internal/devserver
	@tools/browser/install.sh
	@tools/postgres/install.sh
	$(if $(RACE),,@echo "No C compiler: the tests run without the race detector.")
	@failed=0; \
	$(if $(RACE),go test $(RACE) -short -timeout $(TEST_TIMEOUT) $$(go list ./... | grep -vE '$(WITHOUT_RACE)') || failed=1;) \
	go test -parallel $(TEST_PARALLEL) -timeout $(TEST_TIMEOUT) ./e2e || failed=1; \
	go test -timeout $(TEST_TIMEOUT) $$(go list ./... | grep -v '/e2e$$') || failed=1; \
	go test -C tools/deploy -timeout $(TEST_TIMEOUT) ./... || failed=1; \
	go test -C tools/rules -timeout $(TEST_TIMEOUT) ./... || failed=1; \
	go test -C tools/prose ./... || failed=1; \
	exit $$failed

bench: ## compare conversations with bare workflows, and measure the desk alone; BENCH_DATABASE=postgres: desk in PostgreSQL
	$(if $(filter postgres,$(BENCH_DATABASE)),@tools/postgres/install.sh)
	@go run ./lab/bench --database $(or $(BENCH_DATABASE),sqlite)

desk-load: ## measure and check the desk alone; LOAD: flags (LOAD=--help), AGAINST: another checkout to compare with
	@tools/postgres/install.sh
	@go run ./lab/bench/desk $(if $(AGAINST),--against "$(AGAINST)") $(LOAD)

growth: ## measure how cost grows: conversations open, transfers of one, agents; queues, processes, latency at the desk alone
	@tools/postgres/install.sh
	@go run ./lab/bench --growth

chaos: ## kill workers, gateways, the Temporal server and the database for minutes, and look for what was lost or doubled
	@tools/postgres/install.sh
	@go run ./lab/chaos

layout: ## print lines per package and methods per type, and what is above the bounds
	@go run -C tools/layout . "$(CURDIR)"

lint: bin/golangci-lint ## check style, spelling, prose, import rules and that workflows are deterministic
	bin/golangci-lint run ./...
	@tools/prose/prose.sh
	bin/workflowcheck -config tools/lint/workflowcheck.yaml ./workflows/...

# The linters are pinned in tools/lint, where their modules stay out of ours; `tool` means all of them.
bin/golangci-lint: tools/lint/go.mod tools/lint/go.sum
	@echo "Building the linters. This happens only once, and takes a few minutes."
	@mkdir -p bin
	go build -C tools/lint -o "$(CURDIR)/bin/" tool
	@touch $@

# These are pinned in tools/supply.
bin/govulncheck: PACKAGE := golang.org/x/vuln/cmd/govulncheck
bin/go-licenses: PACKAGE := github.com/google/go-licenses/v2
bin/cyclonedx-gomod: PACKAGE := github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod
bin/govulncheck bin/go-licenses bin/cyclonedx-gomod: tools/supply/go.mod tools/supply/go.sum
	@mkdir -p bin
	go build -C tools/supply -o "$(CURDIR)/bin/" $(PACKAGE)
	@touch $@

# The database's address, where it isn't Go's own, as file:///folder.
VULNDB ?=

vulncheck: bin/govulncheck ## look for known vulnerabilities in what the programs call; asks vuln.go.dev, or VULNDB
	@bin/govulncheck $(if $(VULNDB),-db $(VULNDB)) ./worker ./gateway ./starter || { status=$$?; test $$status = 3 || \
		echo "Where vuln.go.dev can't be reached, VULNDB=file:///FOLDER names a copy: https://go.dev/doc/security/vuln/database" >&2; exit $$status; }

licences: bin/go-licenses ## list the licences of what the programs are made of in docs/licences.md
	@tools/supply/licences.sh

sbom: bin/cyclonedx-gomod ## write a bill of materials (CycloneDX) of each program into bin/release/
	@mkdir -p bin/release
	@for main in worker gateway starter; do \
		if [ "$$main" = starter ]; then bom=baton; else bom=$$main; fi; \
		echo "bin/release/$$bom.cdx.json" && GOOS=linux GOARCH=amd64 CGO_ENABLED=0 bin/cyclonedx-gomod app -json -licenses -std -noserial -notimestamp \
			-main "$$main" -output "bin/release/$$bom.cdx.json" . || exit 1; \
	done

release: sbom ## build VERSION=x.y.z for linux/amd64 and linux/arm64 into bin/release/, with licences and checksums
	@go run -C tools/release . --version "$(VERSION)"

generate: ## write generated files anew
	go generate ./...

assets: ## copy the pages' libraries from npm, as their lockfile pins them; only this and drift need npm
	go run -C tools/assets .

screenshots: ## take the documentation's screenshots again, of the pages in a real browser
	@tools/browser/install.sh
	@mkdir -p docs/images
	BATON_SCREENSHOTS="$(CURDIR)/docs/images" go test -count=1 -run '^TestScreenshots$$' ./e2e

# What is compared is the checkout before and after: work that isn't committed is no drift.
CHECKOUT = { git status --porcelain && git diff HEAD; }

drift: ## fail where a go.mod, a go.sum, a generated file or a copied library is not what it should be
	@mkdir -p bin && $(CHECKOUT) >bin/drift.before
	@for module in $$(git ls-files 'go.mod' '*/go.mod'); do \
		echo "go mod tidy ($$module)" && (cd "$$(dirname "$$module")" && go mod tidy) || exit 1; \
	done
	go generate ./...
	go run -C tools/assets .
	@$(CHECKOUT) >bin/drift.after
	@diff -u bin/drift.before bin/drift.after || { \
		echo "These files are not what the code says. They are right now: commit them." >&2; exit 1; }

clean: ## remove what was built here; the dev server's cache and the data in .baton/ stay
	rm -rf bin
	go clean ./...
