#!/bin/sh
# Takes the mycel service off this machine. The identity in /var/lib/mycel stays, unless MYCEL_PURGE=1.
#
#   MYCEL_PURGE=1    also remove the identity, the settings and the user
#   MYCEL_ROOT       uninstall from the root file system in this directory
#   MYCEL_DRY_RUN=1  say what would be done, change nothing
set -eu

root="${MYCEL_ROOT:-}"
root="${root%/}"
dry="${MYCEL_DRY_RUN:-}"
purge="${MYCEL_PURGE:-}"

say() { printf '%s\n' "$*"; }
fail() {
  printf 'mycel uninstall: %s\n  next: %s\n' "$1" "$2" >&2
  exit 1
}

remove() {
  for path in "$@"; do
    [ -e "$root$path" ] || [ -L "$root$path" ] || continue
    if [ -n "$dry" ]; then
      say "  would remove $path"
    else
      rm -rf -- "$root$path" || fail "$root$path cannot be removed." 'Make the file system writable, then run it again.'
      say "  removed  $path"
    fi
  done
}

[ -z "$root" ] || [ -d "$root/etc" ] || fail "$root is not a root file system: it has no etc." 'Give MYCEL_ROOT (--root) the directory the other system is mounted on.'
[ -n "$dry" ] || [ -n "$root" ] || [ "$(id -u)" -eq 0 ] || fail 'only root may remove a service.' 'Run it with sudo.'

say "mycel service${root:+ in $root}:"
is_live=''
if [ -z "$root" ] && [ -d /run/systemd/system ]; then is_live=yes; fi
if [ -n "$is_live" ] && [ -z "$dry" ]; then
  for service in mycel mycel-firstboot; do
    systemctl stop "$service.service" 2>/dev/null || true
  done
fi
for service in mycel mycel-firstboot; do
  remove "/etc/systemd/system/multi-user.target.wants/$service.service" "/etc/systemd/system/$service.service" "/etc/systemd/system/$service.service.d"
done
remove /usr/local/bin/mycel /usr/local/lib/mycel /etc/sysusers.d/mycel.conf
if [ -n "$purge" ]; then
  remove /var/lib/mycel /var/lib/mycel-firstboot /etc/mycel
  if [ -z "$dry" ] && grep -q '^mycel:' "$root/etc/passwd" && command -v userdel >/dev/null; then
    userdel --root "${root:-/}" mycel && say '  removed  user mycel'
  fi
elif [ -d "$root/var/lib/mycel" ]; then
  say '  kept     /var/lib/mycel and /etc/mycel: the identity and the settings (MYCEL_PURGE=1 removes them)'
fi
if [ -n "$is_live" ] && [ -z "$dry" ]; then systemctl daemon-reload; fi
