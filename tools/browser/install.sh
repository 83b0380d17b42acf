#!/bin/sh
# Sees to the browser that the tests of the pages run in: where none is found, Debian's Chromium is
# installed, with fonts for emoji, Arabic and Hebrew. Where that can't be, it says what to do, and the
# tests that need a browser are skipped; in continuous integration (CI is set) they fail.
set -eu

for browser in "${BATON_CHROMIUM:-}" chromium chromium-browser google-chrome; do
	if [ -n "$browser" ] && command -v "$browser" >/dev/null; then
		exit 0
	fi
done

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	echo "Installing Chromium, for the tests of the pages. This happens only once."
	if apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
		chromium fonts-dejavu-core fonts-noto-color-emoji >/dev/null; then
		exit 0
	fi
fi
echo "No Chromium: the tests of the pages can't run. Install one (Debian's package chromium), or name its program in BATON_CHROMIUM." >&2
