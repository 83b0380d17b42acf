# Everything a newcomer or the continuous integration runs. Nothing but Go modules is downloaded.

.DEFAULT_GOAL := help
SHELL := /bin/sh

# How long the tests of one package may take.
TEST_TIMEOUT ?= 20m

# The race detector needs a C compiler, and is left out where there is none. These are never run with
# it: conversation has no goroutines, and its walk of all states would take ten times as long; e2e
# and bench run other processes, and measure times.
RACE := $(if $(filter 1,$(shell go env CGO_ENABLED)),-race)
WITHOUT_RACE := /(conversation|e2e|bench)(/|$$)

.PHONY: help demo dev build test bench lint generate drift clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## tell the story of a transfer, with a real server, worker and desk
	@go run ./starter demo

dev: ## run everything on this machine, the HTTP API too, until Ctrl-C; data stay in .baton/
	@go run ./starter dev

build: ## build every package, and the programs into bin/
	go build ./...
	@mkdir -p bin
	@for main in worker gateway starter bench; do \
		if [ -d "$$main" ]; then echo "go build -o bin/$$main ./$$main" && go build -o "bin/$$main" "./$$main" || exit 1; fi; \
	done

test: ## run every test; the first time builds the Temporal dev server, which takes minutes
	@go test -count=1 -v -run '^TestBinary$$' ./internal/devserver
	$(if $(RACE),,@echo "No C compiler: the tests run without the race detector.")
	@failed=0; \
	go test $(RACE) -timeout $(TEST_TIMEOUT) $$(go list ./... | grep -vE '$(WITHOUT_RACE)') || failed=1; \
	go test -timeout $(TEST_TIMEOUT) $$(go list ./... | grep -E '$(WITHOUT_RACE)') || failed=1; \
	exit $$failed

bench: ## compare conversations with bare workflows on one dev server
	@go run ./bench

lint: bin/golangci-lint ## check style, import rules and that workflows are deterministic
	bin/golangci-lint run ./...
	bin/workflowcheck -config tools/lint/workflowcheck.yaml ./workflows/...

# Both linters are pinned in tools/lint, where their modules stay out of ours; `tool` means all of them.
bin/golangci-lint: tools/lint/go.mod tools/lint/go.sum
	@echo "Building the linters. This happens only once, and takes a few minutes."
	@mkdir -p bin
	go build -C tools/lint -o "$(CURDIR)/bin/" tool
	@touch $@

generate: ## write generated files anew
	go generate ./...

# What is compared is the checkout before and after: work that isn't committed is no drift.
CHECKOUT = { git status --porcelain && git diff HEAD; }

drift: ## fail where a go.mod, a go.sum or a generated file is not what the code says
	@mkdir -p bin && $(CHECKOUT) >bin/drift.before
	@for module in $$(git ls-files 'go.mod' '*/go.mod'); do \
		echo "go mod tidy ($$module)" && (cd "$$(dirname "$$module")" && go mod tidy) || exit 1; \
	done
	go generate ./...
	@$(CHECKOUT) >bin/drift.after
	@diff -u bin/drift.before bin/drift.after || { \
		echo "These files are not what the code says. They are right now: commit them." >&2; exit 1; }

clean: ## remove what was built here; the dev server's cache and the data in .baton/ stay
	rm -rf bin
	go clean ./...
