#!/bin/sh
# Runs the NATS server with the given arguments, and has it read its configuration, with the
# users, and its certificate again when they change: connections stay. Ends when the server
# ends, with its code.
set -eu
state() {
  for folder in ${WATCH:-/conf /tls}; do cat "$folder"/* 2>/dev/null || true; done | sha256sum
}
was=$(state)
nats-server "$@" &
server=$!
trap 'kill -TERM "$server"' TERM INT
while sleep "${EVERY:-10}"; do
  is=$(state)
  if [ "$is" != "$was" ]; then
    was=$is
    echo "its configuration or certificate has changed: reading it again"
    kill -HUP "$server"
  fi
done &
while :; do
  code=0
  wait "$server" || code=$? # a signal interrupts it
  kill -0 "$server" 2>/dev/null || exit "$code"
done
