#!/bin/sh
# Sees to the PostgreSQL that tests run a private server of: where no server is found, Debian's is
# installed, and the one that its package would start is not. Where that can't be, it says what to do, and
# the tests that need a server are skipped; in continuous integration (CI is set) they fail.
set -eu

for folder in "${BATON_POSTGRES_BIN:-}" /usr/lib/postgresql/*/bin; do
	if [ -x "$folder/initdb" ] && [ -x "$folder/postgres" ]; then
		exit 0
	fi
done
if command -v initdb >/dev/null && command -v postgres >/dev/null; then
	exit 0
fi

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	echo "Installing PostgreSQL, for the tests of the desk. This happens only once."
	mkdir -p /etc/postgresql-common
	[ -e /etc/postgresql-common/createcluster.conf ] || echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
	if apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends postgresql >/dev/null; then
		exit 0
	fi
fi
echo "No PostgreSQL: the tests of the desk on it can't run. Install a server (Debian's package postgresql), or name the folder of its programs in BATON_POSTGRES_BIN." >&2
