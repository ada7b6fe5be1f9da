#!/bin/sh
# Installs what "npm pack" makes with each Node.js we promise, without any install script, and runs a node with it.
#
#   sh test/firmware/node-versions.sh [ARCH...]   default: x64; also arm64 and armv7l, emulated by qemu-user
#
# The programs come as npm packages (node-linux-ARCH), the emulated ones' system libraries from the Debian mirror in use.
# Nothing is left behind. Ends with 1 when one combination does not work.
set -eu

root="$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)"
work="$(mktemp -d)"
failed=0
# shellcheck disable=SC2317 # by the trap
tidy() { rm -rf "$work"; }
trap tidy EXIT
trap 'exit 1' HUP INT TERM

# No armv7l of 20.19 or newer is published anywhere npm looks; Debian 13's own is 20.19.2.
versions_of() {
  case "$1" in
    x64) echo '20.19 22 24' ;;
    arm64) echo '20.19 22 24' ;;
    *) echo 'debian' ;;
  esac
}

debian_arch() {
  case "$1" in
    arm64) echo arm64 ;;
    *) echo armhf ;;
  esac
}

# debian ARCH COMMAND...: apt with lists of its own, for another architecture than this machine's.
debian() {
  arch="$1"
  shift
  mkdir -p "$work/apt-$arch/lists/partial" "$work/apt-$arch/archives/partial"
  apt-get -qq -o "APT::Architecture=$arch" -o "APT::Architectures::=$arch" -o "Dir::State::lists=$work/apt-$arch/lists" \
    -o "Dir::Cache=$work/apt-$arch" -o APT::Sandbox::User=root ${suite:+-o "Dir::Etc::sourcelist=$work/sources" -o Dir::Etc::sourceparts=-} "$@"
}

# unpack_libraries ARCH PACKAGE...: what an emulated program needs, below $work/ARCH.
unpack_libraries() {
  arch="$(debian_arch "$1")"
  into="$work/$1"
  shift
  mkdir -p "$into/debs"
  debian "$arch" update
  (cd "$into/debs" && debian "$arch" download "$@")
  for deb in "$into"/debs/*.deb; do dpkg-deb -x "$deb" "$into"; done
  [ -e "$into/lib" ] || ln -s usr/lib "$into/lib"
}

# runner ARCH NODE: a command that runs the program, emulated where it must be.
runner() {
  case "$1" in
    x64) printf '%s' "$2" ;;
    arm64) printf 'qemu-aarch64-static -L %s %s' "$work/arm64" "$2" ;;
    *) printf 'qemu-arm-static -L %s %s' "$work/armv7l" "$2" ;;
  esac
}

# try_one ARCH VERSION: says what worked; 1 when something did not.
try_one() {
  place="$work/$1-$2"
  mkdir -p "$place"
  if [ "$2" = debian ]; then
    node="$work/$1/usr/bin/node"
    [ -x "$node" ] || node="$work/$1/usr/bin/nodejs"
  else
    npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$place/node" "node-linux-$1@$2" --force --os=linux --cpu="$1"
    node="$place/node/node_modules/node-linux-$1/bin/node"
  fi
  run="$(runner "$1" "$node")"
  found="$($run --version)" || {
    printf '%s %s: the program does not run here\n' "$1" "$2"
    return 1
  }
  # npm itself by the Node.js under test where that is quick; an emulated one would take minutes for no other answer.
  installer=npm
  [ "$1" != x64 ] || installer="$node $(npm root -g)/npm/bin/npm-cli.js"
  $installer install --silent --no-audit --no-fund --ignore-scripts --prefix "$place/mycel" "$work/mycel.tgz"
  mycel="$run $place/mycel/node_modules/mycel/dist/mycel.mjs"
  said="$($mycel --version)"
  $mycel up --json --name "v$2" --data-dir "$place/data" --port 0 --interface lo --no-mdns --no-multicast >"$place/up" 2>"$place/errors" &
  pid=$!
  for _ in $(seq 1 120); do
    grep -q '"ready"' "$place/up" 2>/dev/null && break
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.5
  done
  if $mycel status --json --data-dir "$place/data" >"$place/status" && grep -q "\"name\":\"v$2\"" "$place/status"; then
    $mycel doctor --json --data-dir "$place/data" >"$place/doctor" 2>/dev/null || true
    grep -q '"check"' "$place/doctor"
    $mycel down --data-dir "$place/data" >/dev/null
    wait "$pid"
    printf '%s, Node.js %s: installed, mycel %s up, status, doctor, down\n' "$1" "$found" "$said"
    return 0
  fi
  kill "$pid" 2>/dev/null || true
  printf '%s, Node.js %s: the node does not run\n' "$1" "$found"
  head -c 2000 "$place/errors"
  return 1
}

[ "$#" -gt 0 ] || set -- x64
(cd "$root" && npm pack --silent --ignore-scripts --pack-destination "$work" >/dev/null)
mv "$work"/mycel-*.tgz "$work/mycel.tgz"
suite=''
for one in "$@"; do
  case "$one" in
    x64) ;;
    arm64) unpack_libraries arm64 libc6 libstdc++6 libgcc-s1 libatomic1 ;;
    armv7l)
      suite=trixie
      mirror="$(sed -n 's/^URIs: *//p; s/^deb \(\[[^]]*\] \)\{0,1\}\([^ ]*\) .*/\2/p' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -n 1)"
      keyring=/usr/share/keyrings/debian-archive-keyring.gpg
      printf 'deb [signed-by=%s] %s trixie main\n' "$keyring" "$mirror" >"$work/sources"
      debian armhf update
      # shellcheck disable=SC2046 # a list of package names
      unpack_libraries armv7l $(apt-cache -o APT::Architecture=armhf -o "Dir::State::lists=$work/apt-armhf/lists" -o "Dir::Cache=$work/apt-armhf" -o "Dir::Etc::sourcelist=$work/sources" -o Dir::Etc::sourceparts=- depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances nodejs | grep '^[a-z0-9]' | sort -u)
      ;;
    *)
      printf 'unknown architecture %s: x64, arm64 or armv7l\n' "$one" >&2
      exit 2
      ;;
  esac
  for version in $(versions_of "$one"); do
    try_one "$one" "$version" || failed=1
  done
  suite=''
done
exit "$failed"
