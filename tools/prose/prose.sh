#!/bin/sh
# Checks the spelling of the documentation, and the words and lines of everything. golangci-lint checks the spelling of Go.
set -eu
cd "$(dirname "$0")/../.."

git ls-files '*.md' '*.html' '*.sh' '*.yaml' '*.yml' |
	xargs bin/misspell -error -locale US -i dialogue,dialogues,licence,licences
go run -C tools/prose . "$PWD"
