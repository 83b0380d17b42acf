#!/bin/sh
# The desk's own roles and database, beside Temporal's: baton owns the tables, and baton_run only reads and writes rows.
# Postgres's image runs this once, when its volume is empty.
set -eu
psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres --set password="$BATON_DATABASE_PASSWORD" --set run="$BATON_RUN_PASSWORD" <<'SQL'
CREATE ROLE baton LOGIN PASSWORD :'password';
CREATE ROLE baton_run LOGIN PASSWORD :'run';
CREATE DATABASE baton OWNER baton TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8';
SQL
