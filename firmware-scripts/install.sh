#!/bin/sh
# Installs mycel as a system service, from files that are already here. Run it again to update or to repair.
#
#   MYCEL_BUNDLE     the packed npm tarball, or mycel.mjs with its parts beside it; default: the one beside this script
#   MYCEL_URL        fetch it from there instead, only together with
#   MYCEL_SHA256     the checksum that MYCEL_BUNDLE or the download must have
#   MYCEL_NODE       a node program, or a nodejs.org tarball; default: the system's node
#   MYCEL_NAME       how people call the node
#   MYCEL_ARGS       further flags of "mycel up", split at spaces
#   MYCEL_JOIN       an invite, or @file
#   MYCEL_ROOT       install into the root file system in this directory instead of the running one
#   MYCEL_START=no   do not start the service
#   MYCEL_DRY_RUN=1  say what would be done, change nothing
set -eu

node_floor='20.19'
root="${MYCEL_ROOT:-}"
root="${root%/}"
dry="${MYCEL_DRY_RUN:-}"
lib=/usr/local/lib/mycel
state=/var/lib/mycel
unit=/etc/systemd/system/mycel.service
here="$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)"
changed=''
work=''

say() { printf '%s\n' "$*"; }
fail() {
  printf 'mycel install: %s\n  next: %s\n' "$1" "$2" >&2
  exit 1
}
tidy() { [ -z "$work" ] || rm -rf "$work"; }
trap tidy EXIT
trap 'exit 1' HUP INT TERM

# What is on the disk before the name points at it survives a power cut.
settle() { sync "$@" 2>/dev/null || sync; }

# put SOURCE TARGET MODE [quiet]: replaces TARGET, whole or not at all, when its bytes differ.
put() {
  if [ -f "$root$2" ] && cmp -s "$1" "$root$2"; then
    say "  kept     $2"
    return
  fi
  changed=yes
  if [ -n "$dry" ]; then
    say "  would write $2"
    return
  fi
  mkdir -p "$root${2%/*}"
  cp "$1" "$root$2.new"
  chmod "$3" "$root$2.new"
  settle "$root$2.new"
  mv -f "$root$2.new" "$root$2"
  settle "$root${2%/*}"
  say "  wrote    $2"
}

# The parts of another version lie beside those of this one until mycel.mjs, which names its own, has been replaced.
differing_parts() { LC_ALL=C diff -rq "$work/program/parts" "$root$lib/parts" 2>/dev/null || true; }

# Those of this version that are not there, or damaged.
missing_parts() {
  differing_parts | sed -n "s|^Only in $work/program/parts: ||p; s|^Files $work/program/parts/\([^ ]*\) and .*|\1|p"
}

put_parts() {
  if [ -d "$root$lib/parts" ] && [ -z "$(missing_parts)" ]; then
    say "  kept     $lib/parts"
    return
  fi
  changed=yes
  if [ -n "$dry" ]; then
    say "  would write $lib/parts"
    return
  fi
  mkdir -p "$root$lib/parts"
  # Two versions may share a part: what is whole is not written again, or a power cut could take it from the one that runs.
  mkdir "$work/fresh"
  missing_parts | while read -r part; do cp "$work/program/parts/$part" "$work/fresh"; done
  cp "$work/fresh"/* "$root$lib/parts/"
  chmod 644 "$root$lib/parts"/*
  settle "$root$lib/parts"/* "$root$lib/parts" "$root$lib"
  say "  wrote    $lib/parts"
}

remove_old_parts() {
  [ -z "$dry" ] || return 0
  differing_parts | sed -n "s|^Only in $root$lib/parts: ||p" | while read -r old; do rm -f "$root$lib/parts/$old"; done
}

check_place() {
  [ -z "$root" ] || [ -d "$root/etc" ] ||
    fail "$root is not a root file system: it has no etc." 'Give MYCEL_ROOT (--root) the directory the other system is mounted on.'
  [ -n "$dry" ] || [ -n "$root" ] || [ "$(id -u)" -eq 0 ] ||
    fail 'only root may install a service.' 'Run it with sudo.'
  for dir in /usr/local /etc /var/lib; do
    nearest="$root$dir"
    while [ ! -d "$nearest" ]; do nearest="${nearest%/*}"; done
    [ -n "$dry" ] || [ -w "$nearest" ] ||
      fail "$root$dir is read-only." "Make it writable (mount -o remount,rw $root/ ; on Raspberry Pi OS switch the overlay off with raspi-config), install, and make it read-only again. The node itself needs only $state writable."
  done
}

sha256_of() { sha256sum "$1" | cut -d ' ' -f 1; }

# Leaves mycel.mjs and its parts in $work/program.
find_bundle() {
  given="${MYCEL_BUNDLE:-}"
  if [ -n "${MYCEL_URL:-}" ]; then
    [ -n "${MYCEL_SHA256:-}" ] ||
      fail 'MYCEL_URL without MYCEL_SHA256: a download that cannot be verified is not installed.' 'Give the checksum that came with the release.'
    given="$work/download"
    if command -v curl >/dev/null; then
      curl -fsSL --proto '=https,file' -o "$given" "$MYCEL_URL" || fail "$MYCEL_URL cannot be fetched." 'Check the address and the network, or copy the file here and give MYCEL_BUNDLE.'
    else
      wget -q -O "$given" "$MYCEL_URL" || fail "$MYCEL_URL cannot be fetched." 'Check the address and the network, or copy the file here and give MYCEL_BUNDLE.'
    fi
  fi
  if [ -z "$given" ]; then
    for candidate in "$here/mycel.mjs" "$here"/mycel-[0-9]*.tgz "$here/../dist/mycel.mjs"; do
      if [ -f "$candidate" ]; then
        given="$candidate"
        break
      fi
    done
  fi
  [ -n "$given" ] || fail 'there is no mycel.mjs beside this script.' 'Give MYCEL_BUNDLE=FILE: mycel.mjs, or the tarball of "npm pack".'
  [ -f "$given" ] || fail "there is no file $given." 'Check MYCEL_BUNDLE.'
  [ -z "${MYCEL_SHA256:-}" ] || [ "$(sha256_of "$given")" = "$MYCEL_SHA256" ] ||
    fail "$given is not the file that MYCEL_SHA256 names." 'It was cut short or changed: get it again.'
  if gzip -t "$given" 2>/dev/null; then
    tar -xzf "$given" -C "$work" package/dist/mycel.mjs package/dist/parts 2>/dev/null ||
      fail "$given holds no package/dist/mycel.mjs with its parts." 'Give the tarball that "npm pack" of mycel makes.'
    mv "$work/package/dist" "$work/program"
  else
    [ "$(head -c 19 "$given")" = '#!/usr/bin/env node' ] ||
      fail "$given is not the mycel program." 'Give mycel.mjs, or the tarball of "npm pack".'
    [ -d "$(dirname -- "$given")/parts" ] ||
      fail "$given has no parts beside it." 'Keep the directory parts beside mycel.mjs, or give the tarball of "npm pack".'
    mkdir "$work/program"
    cp "$given" "$work/program/mycel.mjs"
    cp -R "$(dirname -- "$given")/parts" "$work/program/parts"
  fi
  [ "$(head -c 19 "$work/program/mycel.mjs")" = '#!/usr/bin/env node' ] ||
    fail "$given is not the mycel program." 'Give mycel.mjs, or the tarball of "npm pack".'
}

# version_ok TEXT: whether v20.19.2 is at least the floor.
version_ok() {
  numbers="${1#v}"
  major="${numbers%%.*}"
  rest="${numbers#*.}"
  minor="${rest%%.*}"
  case "$major$minor" in
    '' | *[!0-9]*) return 1 ;;
    *) ;;
  esac
  [ "$major" -gt "${node_floor%.*}" ] || { [ "$major" -eq "${node_floor%.*}" ] && [ "$minor" -ge "${node_floor#*.}" ]; }
}

# A node of the other system may not run on this machine; its version is then checked on its first start.
check_node() {
  if [ -z "$root" ]; then
    found="$("$1" --version 2>/dev/null)" || fail "$1 does not run." 'It may be for another processor: uname -m tells what this one is.'
  elif [ "$(id -u)" -eq 0 ] && found="$(chroot "$root" "$1" --version 2>/dev/null)"; then
    :
  else
    say "  note     $1 could not be tried here; it must be $node_floor or newer"
    return 0
  fi
  version_ok "$found" ||
    fail "$1 is $found, mycel needs $node_floor or newer." 'Give MYCEL_NODE: a newer node, or a tarball from nodejs.org for this board.'
}

# Sets $node: the program to link to, nothing when it is already in its place, or $work/node/node to be put there.
choose_node() {
  given="${MYCEL_NODE:-}"
  node=''
  case "$given" in
    *.tar.*)
      [ -f "$given" ] || fail "there is no file $given." 'Check MYCEL_NODE.'
      # The program alone: no npm, no headers, a third of the size.
      mkdir "$work/node"
      tar -xf "$given" -C "$work/node" --strip-components=2 --wildcards '*/bin/node' 2>/dev/null ||
        fail "$given holds no bin/node, or cannot be unpacked here." 'Give a tarball from nodejs.org (xz-utils unpacks .xz).'
      node="$work/node/node"
      [ -n "$root" ] || check_node "$node"
      return
      ;;
    '')
      for candidate in /usr/local/bin/node /usr/bin/node /usr/bin/nodejs; do
        if [ -x "$root$candidate" ]; then
          given="$candidate"
          break
        fi
      done
      # The one of an earlier installation.
      if [ -z "$given" ] && [ -f "$root$lib/node" ]; then
        check_node "$lib/node"
        return
      fi
      [ -n "$given" ] || fail 'there is no Node.js.' 'Install it (Debian 13: apt-get install --no-install-recommends nodejs), or give MYCEL_NODE: a tarball from nodejs.org for this board.'
      ;;
    /home/* | /root/*)
      fail "$given is in a home directory, which the service cannot see." 'Install Node.js for the whole system, or give MYCEL_NODE: a tarball from nodejs.org.'
      ;;
    /*) [ -x "$root$given" ] || fail "there is no program $root$given." 'Check MYCEL_NODE.' ;;
    *) fail "MYCEL_NODE=$given is no absolute path and no tarball." 'Give the whole path.' ;;
  esac
  check_node "$given"
  node="$given"
}

place_node() {
  case "$node" in
    '') return ;;
    "$work"/*)
      put "$node" "$lib/node" 755
      return
      ;;
    *) ;;
  esac
  if [ -L "$root$lib/node" ] && [ "$(readlink "$root$lib/node")" = "$node" ]; then
    say "  kept     $lib/node"
    return
  fi
  changed=yes
  if [ -n "$dry" ]; then
    say "  would link $lib/node to $node"
    return
  fi
  mkdir -p "$root$lib"
  ln -sfn "$node" "$root$lib/node.new"
  mv -fT "$root$lib/node.new" "$root$lib/node"
  say "  linked   $lib/node to $node"
}

make_user() {
  if grep -q '^mycel:' "$root/etc/passwd" 2>/dev/null; then
    say '  kept     user mycel'
    return
  fi
  if [ -n "$dry" ]; then
    say '  would make the user mycel'
    return
  fi
  printf 'u mycel - "mycel mesh node" %s\n' "$state" >"$work/mycel.conf"
  put "$work/mycel.conf" /etc/sysusers.d/mycel.conf 644
  if command -v systemd-sysusers >/dev/null; then
    systemd-sysusers --root="${root:-/}" mycel.conf >"$work/log" 2>&1 ||
      fail "the user mycel could not be made: $(tail -n 1 "$work/log")" 'Make a system user and group called mycel, then run this again.'
  elif command -v useradd >/dev/null; then
    useradd --root "${root:-/}" --system --user-group --home-dir "$state" --no-create-home --shell /usr/sbin/nologin mycel >"$work/log" 2>&1 ||
      fail "the user mycel could not be made: $(tail -n 1 "$work/log")" 'Make a system user and group called mycel, then run this again.'
  else
    fail 'neither systemd-sysusers nor useradd is here.' 'Make a system user and group called mycel, then run this again.'
  fi
  say '  made     user mycel'
}

check_settings() {
  case "${MYCEL_NAME:-}${MYCEL_ARGS:-}" in
    *[!A-Za-z0-9\ ._:,=@/+-]*) fail 'MYCEL_NAME or MYCEL_ARGS holds a character that a settings file cannot carry.' 'Use letters, digits, spaces and . _ : , = @ / + -' ;;
    *) ;;
  esac
}

# What is installed by hand is what runs: an earlier update over the mesh must not win against it.
forget_updates() {
  if [ ! -d "$root$state/versions" ] || cmp -s "$work/program/mycel.mjs" "$root$lib/mycel.mjs"; then return; fi
  if [ -n "$dry" ]; then
    say "  would remove $state/versions"
    return
  fi
  rm -rf "$root$state/versions"
  say "  removed  $state/versions (updates over the mesh)"
}

write_settings() {
  if [ -z "${MYCEL_NAME:-}${MYCEL_ARGS:-}" ] && [ -f "$root/etc/mycel/env" ]; then
    say '  kept     /etc/mycel/env'
    return
  fi
  {
    say '# Settings of the mycel service: MYCEL_NAME="kitchen", MYCEL_ARGS="--label room=kitchen --profile wifi".'
    say '# After a change: systemctl restart mycel'
    [ -z "${MYCEL_NAME:-}" ] || say "MYCEL_NAME=\"$MYCEL_NAME\""
    [ -z "${MYCEL_ARGS:-}" ] || say "MYCEL_ARGS=\"$MYCEL_ARGS\""
  } >"$work/env"
  put "$work/env" /etc/mycel/env 644
}

# Leaves the invite, if there is one, in $work/invite.
read_invite() {
  join="${MYCEL_JOIN:-}"
  [ -n "$join" ] || return 0
  (
    umask 077
    case "$join" in
      @*)
        [ -r "${join#@}" ] || fail "the invite file ${join#@} cannot be read." 'Check the path after the @.'
        # An editor on another system ends lines with a carriage return.
        tr -d '\r\n\t ' <"${join#@}" >"$work/invite"
        ;;
      *) printf '%s' "$join" >"$work/invite" ;;
    esac
  )
  case "$(cat "$work/invite")" in
    mycel:1:?*) ;;
    *) fail 'MYCEL_JOIN is not an invite.' 'Copy the whole text that "mycel invite" printed, from mycel:1: on.' ;;
  esac
}

# The state directory belongs to the service alone, and so does the invite in it.
write_invite() {
  [ -f "$work/invite" ] || return 0
  if [ -n "$dry" ]; then
    say "  would write $state/invite"
    return
  fi
  owner="$(sed -n 's/^mycel:[^:]*:\([0-9]*\):\([0-9]*\):.*/\1:\2/p' "$root/etc/passwd")"
  mkdir -p "$root$state"
  chmod 700 "$root$state"
  chown "$owner" "$root$state" 2>/dev/null || fail "$root$state cannot be given to the user mycel." 'Run it with sudo.'
  chown "$owner" "$work/invite"
  cp -p "$work/invite" "$root$state/invite.new"
  settle "$root$state/invite.new"
  mv -f "$root$state/invite.new" "$root$state/invite"
  settle "$root$state"
  say "  wrote    $state/invite (the node removes it once it has joined)"
}

enable_service() {
  if [ ! -d "$root/lib/systemd/system" ] && [ ! -d "$root/usr/lib/systemd/system" ]; then
    say '  note     no systemd here: docs/guide/install.md has the scripts for OpenRC and runit'
    return
  fi
  wants=/etc/systemd/system/multi-user.target.wants
  if [ -L "$root$wants/mycel.service" ]; then
    say '  kept     enabled'
  elif [ -n "$dry" ]; then
    say '  would enable mycel.service'
  else
    mkdir -p "$root$wants"
    ln -s "$unit" "$root$wants/mycel.service"
    settle "$root$wants"
    say '  enabled  mycel.service'
  fi
  if [ -n "$root" ] || [ -n "$dry" ] || [ ! -d /run/systemd/system ]; then return; fi
  systemctl daemon-reload
  [ "${MYCEL_START:-}" != no ] || return 0
  if [ -n "$changed" ] || ! systemctl is-active --quiet mycel.service; then
    systemctl restart mycel.service ||
      fail 'the service did not start.' 'journalctl -u mycel -n 30 tells why.'
    say '  started  mycel.service'
  else
    say '  kept     running: nothing has changed'
  fi
}

check_place
work="$(mktemp -d)"
say "mycel service${root:+ in $root}:"
find_bundle
check_settings
read_invite
choose_node
make_user
place_node
forget_updates
put_parts
put "$work/program/mycel.mjs" "$lib/mycel.mjs" 755
remove_old_parts
put "$here/launch.sh" "$lib/launch.sh" 755
cat >"$work/mycel" <<'RUN'
#!/bin/sh
exec /usr/local/lib/mycel/node /usr/local/lib/mycel/mycel.mjs "$@"
RUN
put "$work/mycel" /usr/local/bin/mycel 755
put "$here/uninstall.sh" "$lib/uninstall.sh" 755
put "$here/mycel.service" "$unit" 644
write_settings
write_invite
enable_service
