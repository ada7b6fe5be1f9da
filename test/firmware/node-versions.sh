#!/bin/sh
# Installs what "npm pack" makes with each Node.js we promise, without any install script, and runs a node with it.
#
#   sh test/firmware/node-versions.sh [ARCH...]   default: x64; also arm64 and armv7l, emulated by qemu-user
#
# The programs come as npm packages (node-linux-ARCH), for armv7l from two releases of Debian, like the system libraries of
# the emulated ones. Nothing is left behind. Ends with 1 when one combination does not work.
set -eu

root="$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)"
work="$(mktemp -d)"
failed=0
# shellcheck disable=SC2317 # by the trap
tidy() { rm -rf "$work"; }
trap tidy EXIT
trap 'exit 1' HUP INT TERM

# shellcheck disable=SC2016 # apt's own variable
find_mirror() { apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | head -n 1; }

# No armv7l of 20.19 or newer is published anywhere npm looks. Debian 13 has 20.19, the next one 24; nobody has 22.
versions_of() {
  case "$1" in
    x64 | arm64) echo '20.19 22 24' ;;
    *) echo 'trixie forky' ;;
  esac
}

# debian ARCH SUITE COMMAND...: apt with lists of its own, of a release and an architecture that are not this machine's.
debian() {
  lists="$work/apt-$1-$2"
  mkdir -p "$lists/lists/partial" "$lists/archives/partial"
  printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$(find_mirror)" "$2" >"$lists/sources"
  options="-o APT::Architecture=$1 -o APT::Architectures::=$1 -o Dir::State::lists=$lists/lists -o Dir::Cache=$lists -o APT::Sandbox::User=root -o Dir::Etc::sourcelist=$lists/sources -o Dir::Etc::sourceparts=-"
  shift 2
  program="$1"
  shift
  # shellcheck disable=SC2086 # a list of options
  "$program" -qq $options "$@"
}

# unpack DEBIAN_ARCH SUITE DIR PACKAGE...: the packages and what they depend on, below DIR.
unpack() {
  into="$3"
  mkdir -p "$into/debs"
  from="$1 $2"
  shift 3
  # shellcheck disable=SC2086 # two words
  debian $from apt-get update
  # shellcheck disable=SC2046,SC2086 # lists of words
  (cd "$into/debs" && debian $from apt-get download $(debian $from apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts \
    --no-breaks --no-replaces --no-enhances "$@" | grep '^[a-z0-9]' | sort -u))
  for deb in "$into"/debs/*.deb; do dpkg-deb -x "$deb" "$into"; done
  [ -e "$into/lib" ] || ln -s usr/lib "$into/lib"
}

# runner ARCH VERSION NODE: a command that runs the program, emulated where it must be.
runner() {
  case "$1" in
    x64) printf '%s' "$3" ;;
    arm64) printf 'qemu-aarch64-static -L %s %s' "$work/arm64" "$3" ;;
    *) printf 'qemu-arm-static -L %s %s' "$work/armv7l/$2" "$3" ;;
  esac
}

# try_one ARCH VERSION: says what worked; 1 when something did not.
try_one() {
  place="$work/$1-$2"
  mkdir -p "$place"
  if [ "$1" = armv7l ]; then
    node="$work/$1/$2/usr/bin/node"
    [ -x "$node" ] || node="$work/$1/$2/usr/bin/nodejs"
  else
    npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$place/node" "node-linux-$1@$2" --force --os=linux --cpu="$1"
    node="$place/node/node_modules/node-linux-$1/bin/node"
  fi
  run="$(runner "$1" "$2" "$node")"
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
for one in "$@"; do
  case "$one" in
    x64) ;;
    arm64) unpack arm64 trixie "$work/arm64" libstdc++6 libatomic1 ;;
    armv7l) for suite in $(versions_of armv7l); do unpack armhf "$suite" "$work/armv7l/$suite" nodejs; done ;;
    *)
      printf 'unknown architecture %s: x64, arm64 or armv7l\n' "$one" >&2
      exit 2
      ;;
  esac
  for version in $(versions_of "$one"); do
    try_one "$one" "$version" || failed=1
  done
done
exit "$failed"
