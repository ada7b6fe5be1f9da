#!/bin/sh
# Starts the version of mycel that is to run: one on trial while it has starts left, else the current one, else the one
# that was installed by hand. The node writes what is read here (src/adapters/disk/versions.ts).
#
#   sh launch.sh up --name kitchen ...
#
#   MYCEL_DATA_DIR    where versions/ is; default /var/lib/mycel
#   MYCEL_PROGRAM     the program that was installed by hand; default: mycel.mjs beside this script
#   MYCEL_NODE        the Node.js; default: node beside this script, else the one on the path
#   MYCEL_NODE_FLAGS  its flags, split at spaces
set -eu

here="$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)"
versions="${MYCEL_DATA_DIR:-/var/lib/mycel}/versions"
program="${MYCEL_PROGRAM:-$here/mycel.mjs}"
running=installed
trial=no

# What is on the disk before the name points at it survives a power cut.
settle() { sync "$@" 2>/dev/null || sync; }

# write FILE TEXT: whole or not at all; false when the disk takes nothing.
write() {
  { (umask 077 && printf '%s\n' "$2" >"$1.new") && settle "$1.new" && mv -f "$1.new" "$1" && settle "$versions"; } 2>/dev/null
}

# is_whole NAME: whether the version is there with every byte it was installed with.
is_whole() {
  case "$1" in
    '' | *[!a-z0-9.+-]* | .*) return 1 ;;
    *) ;;
  esac
  [ -f "$versions/$1/SHA256SUMS" ] && (cd "$versions/$1" && sha256sum -c SHA256SUMS >/dev/null 2>&1)
}

choose() {
  program="$versions/$1/mycel.mjs"
  running="$1"
}

# A start is counted before it is made: a version that takes the board down with it has used it up.
start_trial() {
  [ -f "$versions/trial" ] || return 1
  read -r name left <"$versions/trial" || return 1
  case "$left" in
    '' | *[!0-9]*) left=0 ;;
    *) ;;
  esac
  if [ "$left" -gt 0 ] && is_whole "$name"; then
    # A disk that cannot count the start gets no trial.
    write "$versions/trial" "$name $((left - 1))" || return 1
    choose "$name"
    trial=yes
    return 0
  fi
  printf 'mycel: the trial of %s is given up: %s\n' "$name" "$([ "$left" -gt 0 ] && echo 'it is damaged' || echo 'it did not last')" >&2
  write "$versions/given-up" "$name" && rm -f "$versions/trial"
  return 1
}

start_kept() {
  for link in current previous; do
    [ -L "$versions/$link" ] || continue
    name="$(readlink "$versions/$link")"
    if is_whole "$name"; then
      choose "$name"
      return
    fi
    printf 'mycel: the version %s is damaged\n' "$name" >&2
  done
}

if [ -d "$versions" ]; then
  start_trial || start_kept
fi
if [ -z "${MYCEL_NODE:-}" ]; then
  MYCEL_NODE="$here/node"
  [ -x "$MYCEL_NODE" ] || MYCEL_NODE=node
fi
export MYCEL_RUNNING="$running" MYCEL_TRIAL="$trial"
# shellcheck disable=SC2086 # the flags are several words
exec "$MYCEL_NODE" ${MYCEL_NODE_FLAGS---max-old-space-size=160 --max-semi-space-size=2} "$program" "$@"
