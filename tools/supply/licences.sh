#!/usr/bin/env bash
# Writes docs/licences.md: what the three programs are made of, and by which licences. Fails where one is none of
# those that may be used; `make licences` runs it. The web address of a licence isn't looked up: that would be
# another answer without a network.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export GOOS=linux GOARCH=amd64 CGO_ENABLED=0

allowed=0BSD,Apache-2.0,BSD-2-Clause,BSD-3-Clause,ISC,MIT
# Baton itself; and what states no licence, of which tools/supply/licences.tpl says why it is used all the same.
own=(--ignore github.com/baton-transfers/baton --ignore github.com/nexus-rpc/nexus-proto-annotations)
programs=(./worker ./gateway ./starter)

log=bin/licences.log
trap 'status=$?; ((status == 0)) || grep -v "Error discovering license URL\|non-Go code\|^/" "$log" >&2; exit $status' EXIT
bin/go-licenses check --allowed_licenses="$allowed" "${own[@]}" "${programs[@]}" 2>"$log"
bin/go-licenses report --template tools/supply/licences.tpl "${own[@]}" "${programs[@]}" >bin/licences.md 2>"$log"
mv bin/licences.md docs/licences.md
