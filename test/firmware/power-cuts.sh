#!/bin/bash
# Runs the first boot inside a board, cutting the power before every command that changes something, and then lets it
# finish. Prints a picture of the disk for each; they must all be the same. Usage: power-cuts.sh ONE_OF HOW_MANY_WORKERS
set -eu
cd /
mkdir -p /opt/shim
# The scripts run under bash here, for its DEBUG trap, and so does the "sh" they start.
printf '#!/bin/bash\nexec /bin/bash "$@"\n' >/opt/shim/sh
cat >/opt/trap.sh <<'TRAP'
# A cut before what only looks, waits for the disk, logs, or works in /tmp (which a reboot empties) is the same as one
# before the next change.
changes='^(cp|mv|rm|ln|mkdir|chmod|chown|find|systemd-sysusers) |>[^&]'
elsewhere='>"?\$(work|CUT)|"\$work(/[a-z.]+)?"$'
cut_here() {
  local command="${1//2> \/dev\/null/}"
  command="${command//>> \"\$log\"/}"
  [[ $command =~ $changes && ! $command =~ $elsewhere ]] || return 0
  local n
  read -r n <"$CUT_COUNT"
  n=$((n + 1))
  echo "$n" >"$CUT_COUNT"
  # Every process of this boot, at once and unasked.
  if [ "$n" -eq "$CUT_AT" ]; then kill -KILL 0; fi
}
set -T
trap 'cut_here "$BASH_COMMAND"' DEBUG
TRAP
chmod 755 /opt/shim/sh
export CUT_COUNT=/run/count
traces='/usr/local/lib/mycel /usr/local/bin/mycel /var/lib/mycel /var/lib/mycel-firstboot /etc/mycel /etc/sysusers.d'

blank() {
  # shellcheck disable=SC2086 # A list of words.
  rm -rf $traces /etc/systemd/system/mycel* /etc/systemd/system/multi-user.target.wants /boot/firmware/mycel
  cp -a /opt/accounts/. /etc/
  cp -r /opt/card /boot/firmware/mycel
  # The leftovers of another board, as on a copied card.
  mkdir -p /var/lib/mycel /var/lib/mycel-firstboot
  echo somebody else >/var/lib/mycel/identity.rec
  echo "old-flash old-board" >/var/lib/mycel-firstboot/fresh
  echo "old-flash old-board" >/var/lib/mycel-firstboot/finished
}

# What every image does at boot: its hook, then the unit.
boot_with_cuts() {
  echo 0 >"$CUT_COUNT"
  setsid --wait env PATH="/opt/shim:$PATH" BASH_ENV=/opt/trap.sh CUT_AT="$1" bash -c \
    'bash /boot/firmware/mycel/firstboot.sh --stage1 && bash /usr/local/lib/mycel/firstboot.sh' >/dev/null 2>&1
}
# With the shell that boards have.
boot() { sh -c 'sh /boot/firmware/mycel/firstboot.sh --stage1 && sh /usr/local/lib/mycel/firstboot.sh' 2>&1; }

picture() {
  # shellcheck disable=SC2086
  find $traces /etc/systemd/system /etc/passwd /boot/firmware/mycel ! -name log ! -name 'status.*' -printf '%p %y %m %u %l\n' | sort
  # shellcheck disable=SC2086
  find $traces /etc/systemd/system /etc/passwd /boot/firmware/mycel -type f ! -name log ! -name 'status.*' -print0 | sort -z | xargs -0 sha256sum
}

mkdir -p /opt/accounts
for file in passwd group shadow gshadow; do cp -a "/etc/$file" /opt/accounts/; done
at="$1"
while :; do
  blank
  if boot_with_cuts "$at"; then
    echo "cuts $(cat "$CUT_COUNT")"
    exit 0
  fi
  if ! boot >/run/boot.log; then
    echo "cut $at: $(tail -n 3 /run/boot.log)"
    exit 1
  fi
  echo "cut $at $(picture | sha256sum | cut -c 1-16)"
  if [ "$at" -eq "$1" ]; then picture >/opt/picture; else picture | diff /opt/picture - || true; fi
  at=$((at + $2))
done
