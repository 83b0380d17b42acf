#!/bin/sh
# The fast lane before a commit: the tests that need no server, browser or PostgreSQL, with fewer cases of those that
# try many, the check of prose, and the linters of the packages that differ from the main branch. `make test` and
# `make lint` do all.
set -eu
cd "$(dirname "$0")/../.."

go test -short ./conversation/... ./activities/... ./workflows/... ./internal/sqldb/... ./internal/desk/... ./internal/access/... \
	./internal/records/... ./internal/routes/... ./internal/routing/... ./internal/people/... ./internal/outbox/... ./internal/insights/... \
	./batontest/... ./codec/... ./internal/codecserver/... ./internal/httpapi/... ./internal/web/...

tools/prose/prose.sh

# Without a remote, and on the main branch itself, only what is not committed differs.
base=$(git merge-base HEAD origin/main 2>/dev/null || git merge-base HEAD main 2>/dev/null || git rev-parse HEAD)
# tools/ and its modules have no rules for linters.
changed=$({
	git diff --name-only --diff-filter=d "$base" -- '*.go'
	git ls-files --others --exclude-standard -- '*.go'
} | grep -v '^tools/' | xargs -r -n 1 dirname | sort -u | sed 's|^|./|')
if [ -n "$changed" ]; then
	# shellcheck disable=SC2086 # one argument for each package
	bin/golangci-lint run $changed
fi
