#!/bin/sh
# Succeeds once the NATS server of this pod can stand in for another one: it has read its streams
# and, of three nodes, is up to date in all that they share. After PATIENCE seconds (120) it is
# enough that the server is well: two nodes that have lost what they had in memory wait for the
# third for good, and clients, which can make it anew, need a node that is ready.
set -eu
ask() { wget -q -O /dev/null "http://127.0.0.1:8222/healthz$1"; }
if ask ''; then exit 0; fi
read -r now _ </proc/uptime
began=$(cut -d ' ' -f 22 /proc/1/stat) # in hundredths of a second, as now is in seconds
[ $((${now%.*} - began / 100)) -ge "${PATIENCE:-120}" ]
ask '?js-server-only=true'
