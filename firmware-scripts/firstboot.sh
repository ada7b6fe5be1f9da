#!/bin/sh
# Makes a node of a flashed card. Power may be cut at any line: the next boot goes on from there.
#
#   sh firstboot.sh --stage1   from the hook of the image, or by hand: puts itself and its unit into place, no more
#   sh firstboot.sh            from mycel-firstboot.service at every boot: the work, or nothing when it is done
#   sh firstboot.sh --report   started by that, beside the node: writes on the card what became of the invite
#
# The card is read from mycel/ on the boot partition. status.txt there says how far it came, for a person with a laptop.
set -eu

lib=/usr/local/lib/mycel
state=/var/lib/mycel
own=/var/lib/mycel-firstboot
units=/etc/systemd/system
log="$own/log"
log_bytes_max=65536
step='starting'

# put SOURCE TARGET: writes only what differs, whole or not at all.
put() {
  if cmp -s "$1" "$2"; then return; fi
  changed=yes
  cp "$1" "$2.new"
  swap "$2"
}

# What is on the disk before the name points at it survives a power cut.
settle() { sync "$@" 2>/dev/null || sync; }

# swap FILE: gives FILE.new the name FILE, whole or not at all.
swap() {
  settle "$1.new"
  mv -f "$1.new" "$1"
  settle "${1%/*}"
}

note() {
  printf '%s\n' "$*"
  printf '%s %s\n' "$(date -u '+%Y-%m-%d %H:%M:%S')" "$*" >>"$log" 2>/dev/null || true
}

# tell HEADLINE NEXT: leaves word on the card. A full or read-only card must not stop the work.
tell() {
  [ -n "$card" ] || return 0
  if {
    printf 'mycel: %s\r\nnext:  %s\r\n\r\nWhat happened so far (the clock of a new board may be wrong):\r\n' "$1" "$2"
    tail -n 40 "$log" | sed 's/$/\r/'
  } >"$card/status.new"; then
    mv -f "$card/status.new" "$card/status.txt" && settle "$card"
  fi 2>/dev/null
  return 0
}

fail() {
  note "failed while $step: $1"
  tell "FAILED while $step: $1" "$2"
  printf '  next: %s\n' "$2" >&2
  exit 1
}

find_card() {
  card=''
  for place in ${MYCEL_CARD:-/boot/firmware/mycel /boot/mycel}; do
    if [ -f "$place/card.conf" ]; then
      card="$place"
      return
    fi
  done
}

# Some systems cannot save a text without an ending.
find_invite() {
  invite=''
  for file in "$card/invite" "$card/invite.txt"; do
    if [ -s "$file" ]; then invite="$file"; fi
  done
}

# setting KEY: the value on the card. Read, never run: anyone with a laptop can write there.
setting() {
  sed -n "s/^$1=//p" "$card/card.conf" | tail -n 1 | tr -d '\r"' | tr -c 'A-Za-z0-9 ._:,=@/+\n-' '?'
}

# What tells this board from a copy of its card in another one; "unknown" where the hardware has no number.
board_id() {
  for file in /proc/device-tree/serial-number /sys/class/dmi/id/product_uuid; do
    [ -r "${MYCEL_SYSROOT:-}$file" ] || continue
    number="$(tr -d '\000\n' <"${MYCEL_SYSROOT:-}$file")"
    if [ -n "$number" ]; then
      printf '%s' "$number" | sha256sum | cut -c 1-16
      return
    fi
  done
  echo unknown
}

# same_life STAMP: whether a stamp is of this flashing and this board.
same_life() {
  [ -f "$1" ] || return 1
  read -r stamped_flash stamped_board <"$1" || return 1
  [ "$stamped_flash" = "$flash" ] || return 1
  [ "$stamped_board" = "$board" ] || [ "$stamped_board" = unknown ] || [ "$board" = unknown ]
}

stamp() {
  printf '%s %s\n' "$flash" "$board" >"$own/$1.new"
  swap "$own/$1"
}

systemd_runs() { [ -d /run/systemd/system ]; }

# later COMMAND...: what may fail without harm, and makes no sense before there is a system.
later() {
  if systemd_runs; then "$@" >/dev/null 2>&1 || true; fi
}

# lines FILE TEXT MODE: a whole file, or none.
lines() {
  mkdir -p "${1%/*}"
  (umask 077 && printf '%s\n' "$2" >"$1.new")
  chmod "$3" "$1.new"
  swap "$1"
}

set_host_name() {
  wanted="$(setting HOST_NAME)"
  if [ -z "$wanted" ] || [ "$(cat /etc/hostname 2>/dev/null)" = "$wanted" ]; then return; fi
  { grep -v '^127\.0\.1\.1[[:space:]]' /etc/hosts 2>/dev/null || true; } >/etc/hosts.new
  printf '127.0.1.1\t%s\n' "$wanted" >>/etc/hosts.new
  chmod 644 /etc/hosts.new
  swap /etc/hosts
  # Without it cloud-init puts the name of the image back at the next boot.
  if [ -d /etc/cloud/cloud.cfg.d ]; then lines /etc/cloud/cloud.cfg.d/98_mycel.cfg 'preserve_hostname: true' 644; fi
  lines /etc/hostname "$wanted" 644
  hostname "$wanted" 2>/dev/null || true
  note "the host name is $wanted"
}

# A locked password: the key is the only way in, and sudo asks for none.
make_user() {
  user="$(setting USER_NAME)"
  if [ -z "$user" ] || [ ! -s "$card/authorized_keys" ]; then return; fi
  case "$user" in
    *[!a-z0-9_-]* | [0-9-]* | root) fail "USER_NAME on the card is no name for a user." 'Flash the card again.' ;;
    *) ;;
  esac
  if ! id "$user" >/dev/null 2>&1; then
    groups=''
    for group in sudo adm dialout video audio plugdev netdev gpio i2c spi input render; do
      if grep -q "^$group:" /etc/group; then groups="$groups${groups:+,}$group"; fi
    done
    useradd -m -s "$([ -x /bin/bash ] && echo /bin/bash || echo /bin/sh)" ${groups:+-G "$groups"} "$user" || fail "the user $user cannot be made." 'Choose another --user, and flash again.'
  fi
  home="$(awk -F: -v user="$user" '$1 == user { print $6 }' /etc/passwd)"
  if ! cmp -s "$card/authorized_keys" "$home/.ssh/authorized_keys"; then
    lines "$home/.ssh/authorized_keys" "$(cat "$card/authorized_keys")" 600
    chmod 700 "$home/.ssh"
    chown -R "$user:" "$home/.ssh"
    if [ -d /etc/sudoers.d ]; then lines "/etc/sudoers.d/010-mycel-$user" "$user ALL=(ALL) NOPASSWD: ALL" 440; fi
    note "$user may log in by SSH"
  fi
  for unit in ssh sshd; do
    if [ -f "/lib/systemd/system/$unit.service" ] || [ -f "$units/$unit.service" ]; then
      systemctl enable "$unit.service" >/dev/null 2>&1 || true
      later systemctl start --no-block "$unit.service"
      break
    fi
  done
}

# quoted TEXT: as JSON and YAML have it.
quoted() { printf '%s' "$1" | sed 's/[\\"]/\\&/g; s/^/"/; s/$/"/'; }

# keyed TEXT: as a NetworkManager key file has it: no blank may stand at either end.
keyed() { printf '%s' "$1" | sed 's/\\/\\\\/g; s/^ /\\s/; s/ $/\\s/'; }

join_wifi() {
  [ -s "$card/wifi" ] || return 0
  ssid="$(sed -n 1p "$card/wifi" | tr -d '\r')"
  psk="$(sed -n 2p "$card/wifi" | tr -d '\r')"
  country="$(setting WIFI_COUNTRY)"
  if [ -n "$country" ]; then
    lines /etc/modprobe.d/mycel-wifi.conf "options cfg80211 ieee80211_regdom=$country" 644
    later iw reg set "$country"
  fi
  later rfkill unblock wifi
  if [ -d /etc/NetworkManager/system-connections ]; then
    lines /etc/NetworkManager/system-connections/mycel-wifi.nmconnection "[connection]
id=mycel-wifi
type=wifi
autoconnect=true

[wifi]
mode=infrastructure
ssid=$(keyed "$ssid")
${psk:+
[wifi-security]
key-mgmt=wpa-psk
psk=$(keyed "$psk")
}
[ipv4]
method=auto

[ipv6]
method=auto" 600
    later nmcli connection reload
    later nmcli --wait 0 connection up mycel-wifi
  elif [ -d /etc/netplan ]; then
    access="{}"
    [ -z "$psk" ] || access="{password: $(quoted "$psk")}"
    lines /etc/netplan/60-mycel-wifi.yaml "network:
  version: 2
  wifis:
    wlan0:
      dhcp4: true
      optional: true
      access-points: {$(quoted "$ssid"): $access}" 600
    later netplan apply
  elif [ -d /etc/wpa_supplicant ]; then
    key="key_mgmt=NONE"
    [ -z "$psk" ] || key="psk=$(quoted "$psk")"
    [ "${#psk}" -ne 64 ] || key="psk=$psk"
    lines /etc/wpa_supplicant/wpa_supplicant-wlan0.conf "ctrl_interface=DIR=/run/wpa_supplicant
update_config=1
${country:+country=$country
}network={
  ssid=$(quoted "$ssid")
  $key
}" 600
    systemctl enable wpa_supplicant@wlan0.service >/dev/null 2>&1 || true
    later systemctl restart --no-block wpa_supplicant@wlan0.service
  else
    note 'no program here can join a Wi-Fi: use a cable'
    : >"$own/wifi-impossible"
    printf '%s\n' "$ssid" >"$own/wifi"
    return 0
  fi
  # Only the system has the password from here on.
  rm -f "$card/wifi" || note 'the Wi-Fi password cannot be removed from the card'
  settle "$card"
  printf '%s\n' "$ssid" >"$own/wifi"
  rm -f "$own/wifi-impossible"
  note 'the Wi-Fi is set up, and its password is gone from the card'
}

# What the owner wanted of the board itself; needs no network, and is done before there is one.
set_up_board() {
  step='setting up the board'
  set_host_name
  make_user
  join_wifi
}

# The word on the card is the only one that a person without a screen gets.
why_no_wifi() {
  if [ -f "$own/wifi-impossible" ]; then
    echo 'the image has neither NetworkManager, netplan nor wpa_supplicant'
    return
  fi
  reason="$(nmcli -g GENERAL.REASON device show 2>/dev/null | tr '\n' ' ')" || reason=''
  case "$reason" in
    *'(Secrets were required'* | *'802.1X supplicant'*) echo 'its password is wrong' ;;
    *'network could not be found'*) echo 'it is not in reach, or has another name' ;;
    *) echo 'it did not answer' ;;
  esac
}

# Any address that leads out of the board.
has_network() { ip -o addr show up scope global 2>/dev/null | grep -q .; }

check_network() {
  [ -f "$own/wifi" ] || return 0
  for _ in $(seq 1 "${MYCEL_NETWORK_WAIT:-45}"); do
    if has_network; then return 0; fi
    sleep 1
  done
  ssid="$(cat "$own/wifi")"
  note "no network: the Wi-Fi was not joined, $(why_no_wifi)"
  tell "no network: the Wi-Fi $ssid was not joined, $(why_no_wifi)." 'Flash the card again with the right --wifi and --wifi-password-file, or plug in a cable. mycel is installed and goes on by itself when there is a network.'
}

# Images run this once, or at every boot: it writes only what is missing.
stage1() {
  [ -n "$card" ] || fail 'no mycel directory on the boot partition.' 'Flash the card again.'
  changed=''
  set_up_board
  step='starting'
  mkdir -p "$lib" "$units/multi-user.target.wants"
  put "$card/firstboot.sh" "$lib/firstboot.sh"
  put "$card/mycel-firstboot.service" "$units/mycel-firstboot.service"
  if [ ! -L "$units/multi-user.target.wants/mycel-firstboot.service" ]; then
    changed=yes
    ln -s "$units/mycel-firstboot.service" "$units/multi-user.target.wants/mycel-firstboot.service"
    settle "$units/multi-user.target.wants"
  fi
  [ -n "$changed" ] || return 0
  note 'the first boot is prepared'
  tell 'prepared; the work begins when the system is up.' 'Wait for two minutes. If this text stays, look at: journalctl -u mycel-firstboot'
  # Bookworm runs its firstrun.sh before there is a system, and reboots by itself.
  if systemd_runs && ! grep -q 'systemd\.run=' /proc/cmdline; then
    systemctl daemon-reload
    systemctl start --no-block mycel-firstboot.service
  fi
}

check_card() {
  step='checking the card'
  [ -f "$card/SHA256SUMS" ] || fail 'the card is incomplete: SHA256SUMS is missing.' 'Flash the card again.'
  for name in mycel.tgz install.sh uninstall.sh launch.sh mycel.service; do
    grep -q " [ *]$name\$" "$card/SHA256SUMS" || fail "the card is incomplete: $name is not in SHA256SUMS." 'Flash the card again.'
  done
  broken="$(cd "$card" && sha256sum -c SHA256SUMS 2>/dev/null | sed -n 's/: FAILED.*//p' | tr '\n' ' ')" || true
  [ -z "$broken" ] || fail "these files on the card are damaged or missing: $broken" 'Flash the card again; if it happens again, the card is worn out.'
}

# A new flashing, or a copy of the card in another board, is a new node: two boards must never have one identity.
begin_life() {
  step='making room for a new identity'
  if same_life "$own/fresh"; then return; fi
  if [ -n "$(ls -A "$state" 2>/dev/null)" ]; then
    if systemd_runs; then systemctl stop mycel.service 2>/dev/null || true; fi
    find "$state" -mindepth 1 -delete
    settle "$state"
    note 'the identity of an earlier life of this card is gone'
  fi
  stamp fresh
}

node_on_card() {
  case "$(uname -m)" in
    aarch64 | arm64) arch=arm64 ;;
    x86_64) arch=x64 ;;
    armv7l) arch=armv7l ;;
    *) arch=none ;;
  esac
  for tarball in "$card"/node-*-linux-"$arch".tar.*; do
    if [ -f "$tarball" ]; then
      printf '%s' "$tarball"
      return
    fi
  done
}

install_node() {
  step='installing'
  complaint="$own/complaint"
  export MYCEL_BUNDLE="$card/mycel.tgz" MYCEL_START=no
  MYCEL_NODE="$(node_on_card)"
  MYCEL_NAME="$(setting MYCEL_NAME)"
  MYCEL_ARGS="$(setting MYCEL_ARGS)"
  MYCEL_JOIN="${invite:+@$invite}"
  export MYCEL_NODE MYCEL_NAME MYCEL_ARGS MYCEL_JOIN
  if sh "$card/install.sh" >>"$log" 2>"$complaint"; then
    rm -f "$complaint"
  else
    reason="$(sed -n 's/^mycel install: //p' "$complaint")"
    advice="$(sed -n 's/^  next: //p' "$complaint")"
    cat "$complaint" >>"$log"
    fail "${reason:-$(tail -n 1 "$complaint")}" "${advice:-Flash the card again.} On a card: \"mycel flash --node FILE\" adds Node.js. It is tried again every minute."
  fi
  note 'the service is installed and enabled'
}

# The service has the invite by now; a lost card must give nothing away.
clear_card() {
  step='clearing the invite from the card'
  [ -n "$invite" ] || return 0
  rm -f "$card/invite" "$card/invite.txt" || fail 'the invite cannot be removed from the card.' "Make the boot partition writable, or remove $invite by hand."
  settle "$card"
  note 'the invite is gone from the card'
}

# Beside this unit, for the node starts after it.
watch_join() {
  if same_life "$own/reported" || [ ! -f "$state/invite" ]; then return 0; fi
  later systemd-run --quiet --collect --no-block --unit=mycel-firstboot-report --property=After=mycel.service /bin/sh "$lib/firstboot.sh" --report
}

# Whoever holds the card in a reader wants to know whether the board is in, and if not, why.
report() {
  [ -n "$card" ] || return 0
  flash="$(setting FLASH_ID)"
  for second in $(seq 1 120); do
    # The node removes it once it has joined.
    if [ ! -f "$state/invite" ]; then
      note 'the board has joined its mesh'
      stamp reported
      tell 'done. The board is a member of its mesh.' 'Nothing. "mycel members" on any board of the mesh shows it.'
      return
    fi
    trouble=''
    # Asking costs a small board a second of work.
    if [ $((second % 5)) -eq 0 ]; then
      trouble="$(/usr/local/bin/mycel status --data-dir "$state" 2>/dev/null | sed -n 's/^! \(Joining did not work: .*\)/\1/p' | head -n 1)" || trouble=''
    fi
    if [ -n "$trouble" ]; then
      note "$trouble"
      stamp reported
      case "$trouble" in
        *MYCEL_INVITE_*) tell "NOT A MEMBER. $trouble" 'The node runs and waits. Put the text of a fresh "mycel invite" into a file called invite in this directory and boot again.' ;;
        *) tell "NOT A MEMBER. $trouble" 'The node runs. On this board: sudo mycel doctor' ;;
      esac
      return
    fi
    sleep 1
  done
  # What is on the card says already why.
  has_network || return 0
  note 'no board of the mesh has answered'
  tell 'NOT A MEMBER YET: no board of its mesh has answered.' 'Is the board that made the invite on, and in the same network? This one goes on trying for as long as the invite holds. On this board: sudo mycel doctor'
}

work() {
  if [ -z "$card" ]; then
    # The boot partition may be gone for good; the board may still be another one.
    [ -f "$own/finished" ] || fail 'no mycel directory on the boot partition.' 'Flash the card again.'
    read -r flash _ <"$own/finished"
    if ! same_life "$own/finished"; then
      begin_life
      stamp finished
      note 'this board is a copy of another one: it has a new identity, and needs an invite'
    fi
    return
  fi
  flash="$(setting FLASH_ID)"
  [ -n "$flash" ] || fail 'card.conf on the card has no FLASH_ID.' 'Flash the card again.'
  find_invite
  set_up_board
  step='starting'
  if same_life "$own/finished" && [ -z "$invite" ]; then
    watch_join
    return
  fi
  rm -f "$own/reported"
  note "making a node of this board (flash $flash, board $board)"
  tell 'at work.' 'Wait for two minutes. If this text stays, look at: journalctl -u mycel-firstboot'
  check_card
  begin_life
  install_node
  clear_card
  step='finishing'
  stamp finished
  if [ -f "$state/invite" ]; then
    tell 'done. The node starts now and joins the mesh of its invite.' 'It appears in "mycel members" of the other boards within a minute. If it does not, on this board: sudo mycel status'
  else
    tell 'done. The node starts now, without an invite.' 'To let it into a mesh: put the text of "mycel invite" into a file called invite in this directory and boot again, or on this board: sudo mycel join INVITE'
  fi
  note 'done'
  # Not waited for: the node is ordered after this very unit.
  if systemd_runs; then
    systemctl daemon-reload
    systemctl restart --no-block mycel.service
  fi
  check_network
  watch_join
}

umask 022
mkdir -p "$own"
chmod 700 "$own"
if [ -f "$log" ] && [ "$(wc -c <"$log")" -gt "$log_bytes_max" ]; then
  tail -n 100 "$log" >"$log.new"
  mv -f "$log.new" "$log"
fi
find_card
board="$(board_id)"
case "${1:-}" in
  --stage1) stage1 ;;
  --report) report ;;
  '') work ;;
  *)
    printf 'usage: sh firstboot.sh [--stage1 | --report]\n' >&2
    exit 2
    ;;
esac
