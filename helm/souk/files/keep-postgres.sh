#!/bin/sh
# Keeps a bundled PostgreSQL as its release says, in a container beside the server: makes
# the roles, on a new volume and on one that an earlier release made, gives them their
# passwords, and has the server read its certificate and pg_hba.conf anew when they change.
# It is the superuser, by the pod's socket; by the network none comes in.
#
#   SERVICE  the name of the database and of the role that owns it
#   /conf    pg_hba.conf, pg_ident.conf, keep.sh, roles.sql
#   /roles   the roles' passwords
#   /tls     the server's certificate
set -eu
: "${SERVICE:?}" "${CONF:=/conf}" "${ROLES:=/roles}" "${CERTIFICATE:=/tls}" "${KEPT:=/tmp/kept}"
export SERVICE ROLES
trap 'exit 0' TERM INT

as() { # ROLE DATABASE: runs what it reads
  psql --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 --username "$1" --dbname "$2" --file -
}

# While the entrypoint makes the database there is a socket, but no port.
ready() { pg_isready --quiet --host "${ADDRESS:-127.0.0.1}"; }

# A volume of an earlier release has a superuser with the service's name. No role renames
# itself, so another one does it, and goes.
rename_superuser() {
  as "$SERVICE" template1 <<'END' &&
SELECT 'CREATE ROLE keeper SUPERUSER LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'keeper') \gexec
END
    as keeper template1 <<END
ALTER ROLE "$SERVICE" RENAME TO postgres;
END
}

apply() {
  echo 'SELECT' | as postgres template1 >/dev/null 2>&1 || rename_superuser || return 1
  echo 'DROP ROLE IF EXISTS keeper' | PGOPTIONS='-c client_min_messages=warning' as postgres template1 &&
    as postgres "$SERVICE" <"$CONF/roles.sql" &&
    echo 'SELECT pg_reload_conf()' | as postgres template1 >/dev/null
}

state() { cat "$CONF"/* "$ROLES"/* "$CERTIFICATE"/* 2>/dev/null | sha256sum; }

applied=
while :; do
  now=$(state)
  if [ "$now" != "$applied" ] && ready && apply; then
    applied=$now
    touch "$KEPT"
    echo "the roles of $SERVICE and the server's files are those of the release"
  fi
  if [ -n "$applied" ]; then sleep 10 & else sleep 1 & fi
  wait $!
done
