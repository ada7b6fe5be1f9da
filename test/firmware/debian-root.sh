#!/bin/sh
# Makes the root file system of a Debian with what a board of the tests needs. Needs root and mmdebstrap.
#
#   sh test/firmware/debian-root.sh SUITE DIR
#   MYCEL_BOARD_ROOT=DIR npx vitest run test/firmware/firstboot.test.ts
set -eu

suite="$1"
into="$2"
# From where this machine has its own packages, with the keys that it has.
# shellcheck disable=SC2016 # apt's own variable
find_mirror() { apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | head -n 1; }
mirror="$(find_mirror)"
if [ -z "$mirror" ]; then
  apt-get update -qq
  mirror="$(find_mirror)"
fi
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
if [ -z "$mirror" ] || [ ! -r "$keyring" ]; then
  printf 'apt knows no Debian mirror, or there is no %s\n' "$keyring" >&2
  exit 1
fi
# The other two ways to start a board. Their packages cannot be installed beside systemd, but lie beside it.
# shellcheck disable=SC2016 # for the shell in there
inits='cd /opt
  apt-get download -qq -o APT::Sandbox::User=root openrc runit $(apt-cache depends openrc | grep -o "lib[re][^ ]*")
  for deb in *.deb; do
    dpkg-deb -x "$deb" /
    rm "$deb"
  done
  ldconfig'
# Nobody reads manuals there, and what a power cut would take is made again.
exec mmdebstrap --quiet --variant=minbase --dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' --include=systemd-sysv,dbus,cloud-init,nodejs,iproute2,procps,netplan.io \
  --customize-hook="chroot \"\$1\" sh -ec '$inits'" "$suite" "$into" "deb [signed-by=$keyring] $mirror $suite main"
