#!/bin/sh
# Installs the browser that the tests of the pages run in: Debian's chromium-headless-shell, which is Chromium
# without its own windows and takes half the processor time, and fonts for emoji, Arabic and Hebrew. Any other
# Chromium that is installed serves as well. Without one, the tests that need a browser are skipped; in continuous
# integration (CI is set) they fail.
set -eu

found() {
	for browser in "$@"; do
		if [ -n "$browser" ] && command -v "$browser" >/dev/null; then
			return 0
		fi
	done
	return 1
}

if found "${BATON_CHROMIUM:-}" chromium-headless-shell; then
	exit 0
fi

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	echo "Installing Chromium, for the tests of the pages. This happens only once."
	for package in chromium-headless-shell chromium; do
		if apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
			"$package" fonts-dejavu-core fonts-noto-color-emoji >/dev/null; then
			exit 0
		fi
	done
fi
found chromium chromium-browser google-chrome && exit 0
echo "No Chromium: the tests of the pages can't run. Install one (Debian's package chromium-headless-shell), or name its program in BATON_CHROMIUM." >&2
