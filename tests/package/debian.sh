#!/bin/bash
# debian.sh PACKAGE.deb [ROOT]: the package in a fresh Debian 12: installed, upgraded, removed,
# purged; nothing may be left. ROOT: a debootstrapped folder to use (and keep) instead of a new one. Needs root and network.
set -euo pipefail
package=$(readlink -f "$1")
root=${2:-}
say() { printf '== %s\n' "$*"; }
die() { printf 'debian.sh: %s\n' "$*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || { echo "skipped: needs root"; exit 77; }

own=
cleanup() {
	[ -z "$own" ] || rm -rf --one-file-system "$own"
}
trap cleanup EXIT
if [ -z "$root" ]; then
	own=$(mktemp -d /tmp/carpool-root-XXXXXX)
	root=$own
fi
if [ ! -e "$root/etc/debian_version" ]; then
	say "debootstrap of bookworm"
	debootstrap --variant=minbase --include=nftables,iproute2,systemd,procps bookworm "$root" >"$root.log" 2>&1 || {
		tail -n 20 "$root.log"
		die "debootstrap failed"
	}
	rm -f "$root.log"
fi
# Mounts (and, for what has to do with it, the network) are this process's own: the machine sees none of it.
in_root() {
	unshare --mount ${2:-} --fork --kill-child bash -c '
		mount -t proc proc "$1/proc" && mount --bind /dev "$1/dev" || exit 1
		exec chroot "$1" /bin/bash -euc "$2"' bash "$root" "$1"
}
snapshot() {
	(cd "$root" && find . -xdev \( -path ./proc -o -path ./sys -o -path ./dev -o -path ./tmp -o -path ./run -o -path ./var/cache -o \
		-path ./var/lib/dpkg -o -path ./var/lib/apt -o -path ./var/log \) -prune -o -print | sort)
	cut -d: -f1 "$root/etc/passwd" "$root/etc/group" | sort
}

cp "$package" "$root/tmp/carpool.deb"
say "dependencies"
cp /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null || true
needs=$(dpkg-deb -f "$package" Depends | sed 's/([^)]*)//g; s/|[^,]*//g; s/,/ /g')
# Only this step sees the machine's network.
chroot "$root" bash -c "export DEBIAN_FRONTEND=noninteractive; dpkg -s $needs >/dev/null 2>&1 || { apt-get update && apt-get install -y --no-install-recommends $needs; }" \
	>"$root/tmp/apt.log" 2>&1 || { tail -n 20 "$root/tmp/apt.log"; die "the dependencies do not install"; }
before=$(snapshot)

say "install"
in_root 'dpkg -i /tmp/carpool.deb >/tmp/dpkg.log 2>&1 || { cat /tmp/dpkg.log; exit 1; }
	test "$(stat -c %a:%U /etc/carpool/keys)" = 700:root
	getent passwd carpool-sync >/dev/null && getent group carpool >/dev/null
	id -nG carpool-sync | grep -qw carpool
	carpd --version && syncd --version && carpool version
	systemd-analyze verify carpd.service syncd.service carpool-standby.service 2>&1 | grep -vE "man |^$" || true
	! ls /etc/systemd/system/*.wants/carp* 2>/dev/null'

say "the guide: a config and a key"
in_root 'cp /usr/share/doc/carpool/examples/pair.* /etc/carpool/
	gzip -df /etc/carpool/*.gz 2>/dev/null || true
	mv /etc/carpool/pair.yaml /etc/carpool/cluster.yaml
	sed -i "s/edge.key\]/keys\/edge.key]/" /etc/carpool/cluster.yaml
	carpool keygen /etc/carpool/keys/edge.key
	carpool config show --config /etc/carpool/cluster.yaml | grep -q edge.key
	systemd-tmpfiles --create carpool.conf
	test "$(stat -c %a:%U:%G /run/carpool)" = 1775:root:carpool-sync'

say "upgrade to itself keeps config and key"
in_root 'dpkg -i /tmp/carpool.deb >/dev/null 2>&1; test -s /etc/carpool/keys/edge.key; test -s /etc/carpool/cluster.yaml'

say "remove and purge"
in_root 'mv /etc/carpool/cluster.yaml /etc/carpool/away # no node: there is nothing to clear in the kernel
	dpkg --remove carpool >/tmp/remove.log 2>&1 || { cat /tmp/remove.log; exit 1; }
	test -s /etc/carpool/keys/edge.key
	dpkg --purge carpool >/dev/null 2>&1
	! test -e /etc/carpool && ! test -e /var/lib/carpool && ! getent group carpool >/dev/null'
left=$(diff <(echo "$before") <(snapshot) || true)
[ -z "$left" ] || die "purge left something: $left"
say "package: passed"
