#!/bin/sh
# Runs Valkey with the given arguments, and runs it anew when its certificate or its users
# change. It holds copies only, which are made again.
set -eu
state() { cat /tls/* /acl/* 2>/dev/null | sha256sum; }
end() { kill "$server" 2>/dev/null || true; wait "$server" || true; }
trap 'end; exit 0' TERM INT
while :; do
  was=$(state)
  valkey-server "$@" &
  server=$!
  while [ "$(state)" = "$was" ]; do
    sleep 10 &
    wait $!
    kill -0 "$server" 2>/dev/null || exit 1 # it has ended by itself, and said why
  done
  echo "its certificate or users have changed: starting anew"
  end
done
