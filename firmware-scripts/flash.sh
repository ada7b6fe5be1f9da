#!/bin/sh
# Puts mycel and a one-time invite on a card, so that the board installs itself at its first boot.
#
#   sh flash.sh [options] TARGET
#
#   TARGET             the mounted boot partition of a card, its device, or an .img file with a FAT boot partition;
#                      the mounted root file system of an Armbian card; with --format nocloud a new .img for a seed disk
#   --name NAME        how people will call the node (default: the host name the board has)
#   --invite TEXT      an invite, or @file; without it the board starts alone
#   --args FLAGS       further flags of "mycel up", in one piece
#   --node FILE        a nodejs.org tarball for the board, for images without Node.js 20.19
#   --offline          refuse to write a card that could need anything from the internet: --node must be there
#   --hostname NAME    the host name of the board (default: what its image says)
#   --user NAME        a user who may log in by SSH with --ssh-key, and may use sudo
#   --ssh-key FILE     the public keys of that user
#   --wifi SSID        the Wi-Fi that the board joins; its password comes from --wifi-password-file
#   --wifi-password-file FILE   one line, 8 to 63 characters; removed from the card at the first boot
#   --wifi-country CC  two letters; without it many boards keep their radio off
#   --bundle FILE      the packed npm tarball, or mycel.mjs with its parts beside it (default: the one beside this script)
#   --format FORMAT    auto (default), cloud-init, firstrun, rpi-preseed, dietpi, armbian, nocloud or generic
#   --yes              do not ask
#   --dry-run          say what would be done, change nothing
set -eu

here="$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)"
payload='firstboot.sh install.sh uninstall.sh launch.sh mycel.service mycel-firstboot.service'
# Room left over on the card, so that the image itself can still write to it.
spare_kib=2048
# The boot partition is mounted in one of two places; the mark tells our line from others.
# shellcheck disable=SC2016 # It is the board that shall expand it.
hook='for d in /boot/firmware /boot; do if [ -f "$d/mycel/firstboot.sh" ]; then sh "$d/mycel/firstboot.sh" --stage1; break; fi; done # mycel'
MTOOLS_SKIP_CHECK=1
export MTOOLS_SKIP_CHECK
target='' name='' invite='' args='' node='' bundle='' format=auto yes='' dry='' work='' image='' folder=mycel
offline='' hostname='' user='' ssh_key='' wifi='' wifi_password='' wifi_country=''

say() { printf '%s\n' "$*"; }
fail() {
  printf 'mycel flash: %s\n  next: %s\n' "$1" "$2" >&2
  exit 1
}
usage() {
  sed -n '2,/^set -eu/s/^# \{0,1\}//p' "$0" | sed '$d'
  exit "$1"
}
tidy() { [ -z "$work" ] || rm -rf "$work"; }
trap tidy EXIT
trap 'exit 1' HUP INT TERM
settle() { sync "$@" 2>/dev/null || sync; }

read_options() {
  while [ "$#" -gt 0 ]; do
    case "$1" in
      --name | --invite | --args | --node | --bundle | --format | --hostname | --user | --ssh-key | --wifi | --wifi-password-file | --wifi-country)
        [ "$#" -ge 2 ] || fail "$1 needs a value." "See: sh flash.sh --help"
        case "$1" in
          --name) name="$2" ;;
          --invite) invite="$2" ;;
          --args) args="$2" ;;
          --node) node="$2" ;;
          --bundle) bundle="$2" ;;
          --hostname) hostname="$2" ;;
          --user) user="$2" ;;
          --ssh-key) ssh_key="$2" ;;
          --wifi) wifi="$2" ;;
          --wifi-password-file) wifi_password="$2" ;;
          --wifi-country) wifi_country="$2" ;;
          *) format="$2" ;;
        esac
        shift
        ;;
      --yes) yes=yes ;;
      --offline) offline=yes ;;
      --dry-run) dry=yes ;;
      --help | -h) usage 0 ;;
      -*) fail "there is no option $1." 'See: sh flash.sh --help' ;;
      *)
        [ -z "$target" ] || fail "more than one target: $target and $1." 'Flash one at a time.'
        target="$1"
        ;;
    esac
    shift
  done
  [ -n "$target" ] || fail 'no target is given.' 'Give the mounted boot partition of the card, or an .img file: sh flash.sh --help'
  case "$name$args" in
    *[!A-Za-z0-9\ ._:,=@/+-]*) fail 'the name or the flags hold a character that the card cannot carry.' 'Use letters, digits, spaces and . _ : , = @ / + -' ;;
    *) ;;
  esac
}

# What belongs to the board rather than to mycel is checked here, where a person can still mend it.
check_board() {
  case "$hostname" in
    *[!A-Za-z0-9-]* | -* | *-) fail "$hostname is no host name." 'Use letters, digits and hyphens, with a letter or digit at both ends.' ;;
    *) ;;
  esac
  [ "${#hostname}" -le 63 ] || fail 'the host name is longer than 63 characters.' 'Choose a shorter one.'
  case "$user" in
    *[!a-z0-9_-]* | [0-9-]* | root) fail "$user is no name for a user." 'Use small letters, digits, _ and -, with a letter first; not root.' ;;
    *) ;;
  esac
  if [ -n "$user$ssh_key" ]; then
    if [ -z "$user" ] || [ -z "$ssh_key" ]; then fail 'a user needs a key, and a key a user.' 'Give both --user NAME and --ssh-key FILE.'; fi
    [ -r "$ssh_key" ] || fail "the key file $ssh_key cannot be read." 'Give your public key, like ~/.ssh/id_ed25519.pub'
    grep -Eq '^(ssh-(ed25519|rsa)|ecdsa-sha2-nistp(256|384|521)|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com) [A-Za-z0-9+/=]+' "$ssh_key" || fail "$ssh_key holds no public key." 'Give the file that ends in .pub; the other one is secret.'
    if grep -q 'PRIVATE KEY' "$ssh_key"; then fail "$ssh_key holds a private key." 'Give the file that ends in .pub.'; fi
  fi
  [ -z "$wifi_password$wifi_country" ] || [ -n "$wifi" ] || fail 'there is a Wi-Fi password or country, but no Wi-Fi.' 'Give --wifi SSID.'
  [ -n "$wifi" ] || return 0
  [ "$(printf '%s' "$wifi" | wc -c)" -le 32 ] || fail 'the name of the Wi-Fi is longer than 32 bytes.' 'Give its SSID as the access point shows it.'
  case "$wifi" in
    *[[:cntrl:]]*) fail 'the name of the Wi-Fi holds a control character.' 'Give its SSID as the access point shows it.' ;;
    *) ;;
  esac
  case "$wifi_country" in
    '' | [A-Z][A-Z]) ;;
    *) fail "$wifi_country is no country." 'Give two capital letters, like GB or DE.' ;;
  esac
  [ -n "$wifi_password" ] || return 0
  [ -r "$wifi_password" ] || fail "the password file $wifi_password cannot be read." 'Check the path.'
  # Strange bytes and a wrong length would only show on the board, where nobody is there to read it.
  tr -d '\r\n' <"$wifi_password" | LC_ALL=C grep -Eq '^([ -~]{8,63}|[0-9A-Fa-f]{64})$' || fail 'the Wi-Fi password is not one of WPA.' 'It has 8 to 63 printable ASCII characters (or 64 hexadecimal digits), on one line.'
}

# is_system MOUNTPOINT...: whether one of them is a place this computer itself starts from.
is_system() {
  for place in "$@"; do
    case "$place" in
      / | /boot | /boot/firmware | /boot/efi | /efi | /usr) return 0 ;;
      *) ;;
    esac
  done
  return 1
}

# Places a device is mounted on; those of a disk are those of its partitions.
places_of() { awk -v device="$1" '$1 == device { print $2 }' /proc/mounts | tr '\n' ' '; }
# What is mounted from a disk through LVM or an encrypted volume does not bear its name.
places_of_disk() {
  {
    awk -v disk="$1" 'index($1, disk) == 1 { print $2 }' /proc/mounts
    lsblk -nro MOUNTPOINT "$1" 2>/dev/null || true
  } | grep . | sort -u | tr '\n' ' '
}

check_target() {
  if [ -d "$target" ]; then
    target="$(CDPATH='' cd -- "$target" && pwd -P)"
    device="$(df -P "$target" | awk 'NR == 2 { print $1 }')"
    top="$(df -P "$target" | awk 'NR == 2 { print $6 }')"
    # A directory on the system's disk is only a directory; the top of one of its file systems is the system.
    # shellcheck disable=SC2046 # A list of words.
    if is_system "$target" || { [ "$top" = "$target" ] && [ -b "$device" ] && is_system $(places_of "$device"); }; then
      fail "$target is where this computer starts from." 'Give the boot partition of the card. For this computer itself: sudo mycel service install'
    fi
    [ -w "$target" ] || fail "$target is not writable." 'Run it with sudo; if the card has a lock switch, open it.'
  elif [ -b "$target" ]; then
    places="$(places_of_disk "$target")"
    # shellcheck disable=SC2086 # A list of words.
    is_system $places && fail "$target is the disk this computer runs from." 'Look up the name of the card with lsblk.'
    # What is written below a mounted file system destroys it.
    [ -z "$places" ] || fail "$target is in use: ${places% }" "Unmount it (umount $places), or give the directory its boot partition is mounted on."
    [ -w "$target" ] || fail "$target is not writable." 'Run it with sudo; if the card has a lock switch, open it.'
    need_mtools
    find_partition
  elif [ "$format" = nocloud ]; then
    [ ! -e "$target" ] || fail "there already is a $target." 'Give the name of a new file: a seed disk is made afresh.'
    for tool in mkfs.vfat mcopy; do
      command -v "$tool" >/dev/null || fail "$tool is needed to make a seed disk." 'Install it (Debian: apt-get install dosfstools mtools).'
    done
  elif [ -f "$target" ]; then
    case "$target" in
      *.xz | *.gz | *.zip | *.bz2 | *.zst) fail "$target is compressed." 'Unpack it first, for example: unxz -k FILE' ;;
      *) ;;
    esac
    [ -w "$target" ] || fail "$target is not writable." 'Work on a copy: an image from elsewhere is better kept as it is.'
    need_mtools
    find_partition
  else
    fail "there is no $target." 'Give the mounted boot partition of the card, or an .img file.'
  fi
}

need_mtools() {
  command -v mcopy >/dev/null || fail 'mtools is not installed, and an image or a device cannot be written without it.' 'Install it (Debian: apt-get install mtools), or give the mounted boot partition of the card.'
}

# number FILE OFFSET BYTES: the little-endian number there.
number() { od -An -v -t "u$3" -j "$2" -N "$3" "$1" | tr -d ' \n'; }

# try_partition OFFSET: takes the file system there if it is FAT; 0 when it also looks like a boot partition.
try_partition() {
  mdir -b -i "$target@@$1" ::/ >/dev/null 2>&1 || return 1
  [ -n "$image" ] || image="$target@@$1"
  for mark in cmdline.txt user-data meta-data dietpi.txt rpi-preseed.toml firstrun.sh; do
    if mdir -b -i "$target@@$1" "::/$mark" >/dev/null 2>&1; then
      image="$target@@$1"
      return 0
    fi
  done
  return 1
}

# find_in_gpt: the partition that looks like a boot partition, else the first FAT one, which may be that of the firmware.
find_in_gpt() {
  [ "$(dd if="$target" bs=1 skip=512 count=8 2>/dev/null)" = 'EFI PART' ] || return 1
  table=$(($(number "$target" 584 8) * 512))
  entries="$(number "$target" 592 4)"
  size="$(number "$target" 596 4)"
  [ "$entries" -le 256 ] && [ "$size" -ge 128 ] && [ "$size" -le 4096 ] || return 1
  at=0
  while [ "$at" -lt "$entries" ]; do
    entry=$((table + at * size))
    at=$((at + 1))
    [ "$(number "$target" "$entry" 8)" != 0 ] || continue
    if try_partition $(($(number "$target" $((entry + 32)) 8) * 512)); then return 0; fi
  done
  [ -n "$image" ]
}

find_partition() {
  [ "$(od -An -v -t x1 -j 510 -N 2 "$target" | tr -d ' \n')" = 55aa ] ||
    fail "$target is no disk image: it has no partition table." 'Give the unpacked .img of an operating system for the board, or a card that one was written to.'
  # A file system without a partition table says so itself.
  if dd if="$target" bs=1 skip=54 count=33 2>/dev/null | tr -c 'A-Z0-9' '.' | grep -q 'FAT[13]'; then
    image="$target@@0"
    return
  fi
  for entry in 446 462 478 494; do
    case "$(number "$target" $((entry + 4)) 1)" in
      1 | 4 | 6 | 11 | 12 | 14 | 239)
        offset=$(($(number "$target" $((entry + 8)) 4) * 512))
        mdir -b -i "$target@@$offset" ::/ >/dev/null 2>&1 || continue
        image="$target@@$offset"
        return
        ;;
      238)
        if find_in_gpt; then return; fi
        ;;
      *) ;;
    esac
  done
  fail "$target has no FAT boot partition." 'Give the image of an operating system for the board; the file system of one partition alone is not enough.'
}

# fetch NAME: copies a file of the boot partition into $work/boot, if it is there.
fetch() {
  if [ -n "$image" ]; then
    mcopy -n -i "$image" "::/$1" "$work/boot/$1" 2>/dev/null || rm -f "$work/boot/$1"
  elif [ -f "$target/$1" ]; then
    cp "$target/$1" "$work/boot/$1"
  fi
}
has() { [ -f "$work/boot/$1" ]; }

read_card() {
  mkdir -p "$work/boot" "$work/out/mycel"
  for file in rpi-preseed.toml user-data meta-data vendor-data firstrun.sh cmdline.txt config.txt issue.txt dietpi.txt Automation_Custom_Script.sh; do
    fetch "$file"
  done
  if has cmdline.txt && [ "$(grep -c '[^[:space:]]' "$work/boot/cmdline.txt")" -gt 1 ]; then
    fail 'cmdline.txt has more than one line; the board would not boot as it should.' 'Join its lines with spaces, or write the image afresh.'
  fi
}

detect_format() {
  if [ "$format" = auto ] && [ -d "$target" ] && [ -f "$target/etc/armbian-release" ]; then format=armbian; fi
  if [ "$format" = armbian ]; then
    { [ -d "$target/etc/systemd/system" ] && [ -d "$target/boot" ]; } || fail "$target is not the root file system of an Armbian card." 'Mount the large partition of the card and give that directory.'
    folder=boot/mycel
  fi
  [ "$format" = auto ] || return 0
  if has rpi-preseed.toml; then
    format=rpi-preseed
  elif has user-data || has meta-data; then
    format=cloud-init
  elif has firstrun.sh; then
    format=firstrun
  elif has dietpi.txt; then
    format=dietpi
  elif has cmdline.txt && has config.txt && grep -q 'Raspberry Pi reference' "$work/boot/issue.txt" 2>/dev/null; then
    format=firstrun
  else
    fail "$target does not look like the boot partition of a system that mycel knows." 'Check that it is the boot partition. If it is: --format generic puts mycel on it, and you start it on the board by hand.'
  fi
}

hook_cloud_init() {
  if has vendor-data && ! grep -q '^# mycel' "$work/boot/vendor-data" && grep -q '[^[:space:]]' "$work/boot/vendor-data"; then
    fail 'there is a vendor-data on the card that is not from mycel.' 'Move it away if it is not needed, or use --format generic and start mycel on the board by hand.'
  fi
  if has user-data && tr -d '\r' <"$work/boot/user-data" | awk '/^vendor_data:/ { inside = 1; print; next } /^[^ #]/ { inside = 0 } inside { print }' | grep -q 'enabled: *[fF]alse'; then
    fail 'user-data on the card switches vendor-data off.' 'Remove "vendor_data: {enabled: false}" from it, or use --format generic.'
  fi
  # Every boot, not once: a power cut must not lose it. user-data stays as it is.
  # shellcheck disable=SC2016 # It is the board that shall expand it.
  printf '#cloud-boothook\n#!/bin/sh\n# mycel\n%s\n' "$hook" >"$work/out/vendor-data"
}

hook_firstrun() {
  if has firstrun.sh; then
    grep -q 'systemd\.run=' "$work/boot/cmdline.txt" 2>/dev/null ||
      fail 'firstrun.sh is on the card, but cmdline.txt does not run it.' 'The first boot may be over: boot the card and use "mycel service install" on it, or write the image afresh.'
    # What comes after the line that removes the script is cut off by the image; before it is safe.
    awk -v hook="$hook" '
      / # mycel$/ { next }
      !done && (/rm.*firstrun\.sh$/ || /^exit/) { print hook; done = 1 }
      { print }
      END { if (!done) print hook }' "$work/boot/firstrun.sh" >"$work/out/firstrun.sh"
    return
  fi
  has cmdline.txt || fail 'there is no cmdline.txt on the card.' 'Check that it is the boot partition of a Raspberry Pi OS.'
  printf '#!/bin/sh\nset +e\n%s\nrm -f /boot/firstrun.sh\nsed -i "s| systemd.run.*||g" /boot/cmdline.txt\nexit 0\n' "$hook" >"$work/out/firstrun.sh"
  line="$(tr -d '\r\n' <"$work/boot/cmdline.txt")"
  printf '%s systemd.run=/boot/firstrun.sh systemd.run_success_action=reboot systemd.unit=kernel-command-line.target\n' "$line" >"$work/out/cmdline.txt"
}

hook_rpi_preseed() {
  toml="$work/boot/rpi-preseed.toml"
  has rpi-preseed.toml || : >"$toml"
  if grep -q 'mycel/firstboot\.sh' "$toml"; then return; fi
  if grep -Eq '^[[:space:]]*("?runcmd"?[[:space:]]*[.=]|\[[[:space:]]*"?runcmd"?[[:space:]]*\.|"late")' "$toml"; then
    fail 'rpi-preseed.toml writes runcmd in a way that this script does not understand.' 'Write it as a table: a line [runcmd], then late = [ … ]'
  fi
  awk -v command='"sh /boot/firmware/mycel/firstboot.sh --stage1"' '
    function close_table() { if (inside && !done) { print "late = [" command "]"; done = 1 } inside = 0 }
    /^[ \t]*\[/ { close_table() }
    /^[ \t]*\[[ \t]*runcmd[ \t]*\]/ { inside = 1 }
    inside && !done && /^[ \t]*late[ \t]*=[ \t]*\[/ { sub(/\[/, "[" command ", "); done = 1 }
    { print }
    END { close_table(); if (!done) print "\n[runcmd]\nlate = [" command "]" }' "$toml" >"$work/out/rpi-preseed.toml"
}

hook_dietpi() {
  script="$work/boot/Automation_Custom_Script.sh"
  if ! has Automation_Custom_Script.sh; then
    printf '#!/bin/sh\n%s\n' "$hook" >"$work/out/Automation_Custom_Script.sh"
    return
  fi
  head -n 1 "$script" | grep -Eq '^#!.*sh *$' || fail 'Automation_Custom_Script.sh on the card is not a shell script.' 'Add this line to what it does: sh /boot/firmware/mycel/firstboot.sh --stage1 ; then use --format generic.'
  # First, not last: what follows may exit.
  awk -v hook="$hook" '/ # mycel$/ { next } { print } NR == 1 { print hook }' "$script" >"$work/out/Automation_Custom_Script.sh"
}

# The root file system itself is at hand: the unit goes where the hook of other images would put it.
hook_armbian() {
  mkdir -p "$work/out/usr/local/lib/mycel" "$work/out/etc/systemd/system"
  cp "$here/firstboot.sh" "$work/out/usr/local/lib/mycel/firstboot.sh"
  cp "$here/mycel-firstboot.service" "$work/out/etc/systemd/system/mycel-firstboot.service"
}

# A seed disk beside the disk of the system, as clouds and virtual machines have it; what is secret on it is moved.
hook_nocloud() {
  # shellcheck disable=SC2016 # It is the board that shall expand it.
  printf '#cloud-boothook\n#!/bin/sh\n# mycel\n%s\n' 'if [ ! -f /boot/mycel/card.conf ]; then m=$(mktemp -d) && mount -L CIDATA "$m" && cp -r "$m/mycel" /boot/mycel.new && sync && mv /boot/mycel.new /boot/mycel && rm -f "$m/mycel/invite" "$m/mycel/wifi"; umount "$m"; fi; [ ! -f /boot/mycel/firstboot.sh ] || sh /boot/mycel/firstboot.sh --stage1 # mycel' >"$work/out/vendor-data"
  printf '#cloud-config\n{}\n' >"$work/out/user-data"
  printf 'instance-id: mycel-%s\n' "$(od -An -v -t x1 -N 8 /dev/urandom | tr -d ' \n')" >"$work/out/meta-data"
}

write_hook() {
  case "$format" in
    armbian) hook_armbian ;;
    nocloud) hook_nocloud ;;
    cloud-init) hook_cloud_init ;;
    firstrun) hook_firstrun ;;
    rpi-preseed) hook_rpi_preseed ;;
    dietpi) hook_dietpi ;;
    generic) ;;
    *) fail "there is no format $format." 'Use auto, cloud-init, firstrun, rpi-preseed, dietpi, armbian, nocloud or generic.' ;;
  esac
}

gather_payload() {
  out="$work/out/mycel"
  for file in $payload; do
    [ -f "$here/$file" ] || fail "$file is missing beside this script." 'Keep the scripts together in one directory.'
    cp "$here/$file" "$out/$file"
  done
  if [ -z "$bundle" ]; then
    for candidate in "$here/mycel.mjs" "$here"/mycel-[0-9]*.tgz "$here/../dist/mycel.mjs"; do
      if [ -f "$candidate" ]; then
        bundle="$candidate"
        break
      fi
    done
  fi
  [ -f "$bundle" ] || fail "there is no program to put on the card (${bundle:-mycel.mjs})." 'Give --bundle FILE: mycel.mjs, or the tarball of "npm pack".'
  dist="$work/pack/package/dist"
  mkdir -p "$dist"
  if gzip -t "$bundle" 2>/dev/null; then
    tar -xzf "$bundle" -C "$work/pack" package/dist/mycel.mjs package/dist/parts 2>/dev/null || fail "$bundle holds no package/dist/mycel.mjs with its parts." 'Give the tarball that "npm pack" of mycel makes.'
  else
    cp "$bundle" "$dist/mycel.mjs"
    [ "$(head -c 19 "$dist/mycel.mjs")" != '#!/usr/bin/env node' ] || cp -R "$(dirname -- "$bundle")/parts" "$dist/parts" 2>/dev/null ||
      fail "$bundle has no parts beside it." 'Keep the directory parts beside mycel.mjs, or give the tarball of "npm pack".'
  fi
  [ "$(head -c 19 "$dist/mycel.mjs")" = '#!/usr/bin/env node' ] || fail "$bundle is not the mycel program." 'Give mycel.mjs, or the tarball of "npm pack".'
  # One file on the card, a quarter of the size, which is read back as a whole.
  tar -cf - -C "$work/pack" package | gzip -9 >"$out/mycel.tgz"
  [ -z "$offline" ] || [ -n "$node" ] || fail '--offline without Node.js on the card.' 'Give --node FILE, a tarball of nodejs.org: the image may have none, or an old one.'
  if [ -n "$node" ]; then
    case "${node##*/}" in
      node-v*-linux-*.tar.*) ;;
      *) fail "$node is not named like a tarball of nodejs.org." 'Keep the name it was published under, like node-v22.23.3-linux-arm64.tar.xz: it says for which processor it is.' ;;
    esac
    tar -tf "$node" 2>/dev/null | grep -q '/bin/node$' || fail "$node holds no bin/node, or is damaged." 'Get it again from nodejs.org.'
    cp "$node" "$out/${node##*/}"
  fi
  (cd "$out" && sha256sum -- *) >"$work/sums"
  mv "$work/sums" "$out/SHA256SUMS"
  # What a person may edit is not in the sums.
  {
    printf '# Settings of this board; read at its first boot.\n'
    [ -z "$name" ] || printf 'MYCEL_NAME=%s\n' "$name"
    [ -z "$args" ] || printf 'MYCEL_ARGS=%s\n' "$args"
    [ -z "$hostname" ] || printf 'HOST_NAME=%s\n' "$hostname"
    [ -z "$user" ] || printf 'USER_NAME=%s\n' "$user"
    [ -z "$wifi_country" ] || printf 'WIFI_COUNTRY=%s\n' "$wifi_country"
    printf 'FLASH_ID=%s\n' "$(od -An -v -t x1 -N 8 /dev/urandom | tr -d ' \n')"
  } >"$out/card.conf"
  if [ -n "$ssh_key" ]; then tr -d '\r' <"$ssh_key" >"$out/authorized_keys"; fi
  if [ -n "$wifi" ]; then
    {
      printf '%s\n' "$wifi"
      [ -z "$wifi_password" ] || printf '%s\n' "$(tr -d '\r\n' <"$wifi_password")"
    } >"$out/wifi"
  fi
  case "$invite" in
    '') return ;;
    @*)
      [ -r "${invite#@}" ] || fail "the invite file ${invite#@} cannot be read." 'Check the path after the @.'
      tr -d '\r\n\t ' <"${invite#@}" >"$out/invite"
      ;;
    *) printf '%s' "$invite" >"$out/invite" ;;
  esac
  case "$(cat "$out/invite")" in
    mycel:1:?*) ;;
    *) fail '--invite is not an invite.' 'Give the whole text that "mycel invite" printed, from mycel:1: on.' ;;
  esac
}

check_room() {
  [ "$format" != nocloud ] || return 0
  need="$(du -sk "$work/out" | cut -f 1)"
  if [ -n "$image" ]; then
    free="$(mdir -i "$image" ::/ 2>/dev/null | sed -n 's/ bytes free.*//p' | tr -d ' ')"
    free=$((${free:-0} / 1024))
  else
    free="$(df -Pk "$target" | awk 'NR == 2 { print $4 }')"
  fi
  [ "$free" -ge $((need + spare_kib)) ] ||
    fail "the boot partition has $free KiB free, $((need + spare_kib)) are needed." 'Remove old files from it, or leave --node out and install Node.js on the board.'
}

show_plan() {
  say "$target: $format${name:+, name $name}${hostname:+, host $hostname}${user:+, user $user}${wifi:+, Wi-Fi $wifi}${node:+, with Node.js}$([ -n "$invite" ] && echo ', with an invite' || echo ', without an invite')"
  (cd "$work/out" && find . -type f) | sed 's/^\.\///' | sort | while read -r file; do
    verb='write'
    if has "$file"; then verb=change; fi
    say "  $verb $file"
  done
}

ask() {
  [ -z "$yes" ] || return 0
  [ -t 0 ] || fail 'nobody is there to be asked.' 'Look at the plan with --dry-run, then give --yes.'
  printf 'Write this? [y/N] '
  read -r answer
  case "$answer" in
    [yY]*) ;;
    *) fail 'nothing was written.' 'Run it again when you are ready.' ;;
  esac
}

# store FILE [AS]: puts one file on the card and reads it back.
store() {
  as="${2:-$1}"
  if [ -n "$image" ]; then
    mcopy -o -i "$image" "$work/out/$1" "::/$as" 2>/dev/null && mcopy -n -i "$image" "::/$as" "$work/back" 2>/dev/null
  else
    cp "$work/out/$1" "$target/$as.new" 2>/dev/null && mv -f "$target/$as.new" "$target/$as" && cp "$target/$as" "$work/back"
  fi || fail "$1 could not be written." 'The card may be full, locked or worn out. It boots as before: what starts mycel is written last.'
  cmp -s "$work/out/$1" "$work/back" || fail "$1 does not read back as it was written." 'The card is worn out or not genuine: use another one.'
  rm -f "$work/back"
}

# A seed disk as large as what is on it needs, with room for what the first boot removes and writes.
make_seed() {
  kib=$(($(du -sk "$work/out" | cut -f 1) + spare_kib + 4096))
  image="$work/seed.img"
  dd if=/dev/zero of="$image" bs=1024 count=0 seek="$kib" 2>/dev/null
  mkfs.vfat -n CIDATA "$image" >/dev/null || fail 'the seed disk cannot be made.' 'Look whether the temporary directory is full.'
}

write_card() {
  [ "$format" != nocloud ] || make_seed
  if [ -n "$image" ]; then
    mdeltree -i "$image" ::/mycel >/dev/null 2>&1 || true
    mmd -i "$image" ::/mycel >/dev/null 2>&1 || fail 'the directory mycel cannot be made in the image.' 'Write the image afresh: its boot partition is damaged.'
  else
    rm -rf "${target:?}/$folder"
    mkdir "$target/$folder"
  fi
  for file in "$work/out/mycel"/*; do store "mycel/${file##*/}" "$folder/${file##*/}"; done
  settle "$target"
  # What starts it comes last, and what starts that comes last of all.
  for file in vendor-data user-data meta-data firstrun.sh rpi-preseed.toml Automation_Custom_Script.sh cmdline.txt; do
    if [ -f "$work/out/$file" ]; then store "$file"; fi
  done
  [ "$format" != armbian ] || write_units
  if [ "$format" = nocloud ]; then
    cp "$image" "$target" || fail "$target cannot be written." 'Give a name in a directory that is yours.'
  fi
  settle "$target"
}

write_units() {
  mkdir -p "$target/usr/local/lib/mycel" "$target/etc/systemd/system/multi-user.target.wants"
  store usr/local/lib/mycel/firstboot.sh
  store etc/systemd/system/mycel-firstboot.service
  chmod 644 "$target/usr/local/lib/mycel/firstboot.sh" "$target/etc/systemd/system/mycel-firstboot.service"
  chmod 700 "$target/$folder"
  ln -sf /etc/systemd/system/mycel-firstboot.service "$target/etc/systemd/system/multi-user.target.wants/mycel-firstboot.service"
}

read_options "$@"
umask 077
work="$(mktemp -d)"
check_board
check_target
read_card
detect_format
write_hook
gather_payload
check_room
show_plan
[ -z "$dry" ] || exit 0
ask
write_card
say "done. Eject the card and boot the board; if it does not appear, read mycel/status.txt on the card."
case "$format" in
  nocloud) say 'Attach it to the machine as a second disk before its first boot.' ;;
  generic) say 'On the board, once: sudo sh /boot/firmware/mycel/firstboot.sh --stage1' ;;
  *) say 'A card that has booted before may not look at it again; then, on the board: sudo sh /boot/firmware/mycel/firstboot.sh --stage1' ;;
esac
