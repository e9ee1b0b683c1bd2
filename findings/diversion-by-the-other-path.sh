#!/bin/bash
# dpkg-divert takes the path of a file that is there, moves it, exits 0, and diverts nothing.
#
# A good guess: on a merged-/usr system /sbin/swapon and /usr/sbin/swapon are one file, so either is right for dpkg-divert,
# or the wrong one is an error.
# What happens: dpkg compares strings. Debian 12's package says /sbin/swapon, Debian 13's /usr/sbin/swapon; a diversion by
# the other spelling renames the file (so it looks done), is listed, and does not hold: the next upgrade of the package puts
# its own file over what stands there, with exit status 0 and no message. `dpkg --verify` finds nothing wrong either. A
# wrapper that a provisioning script installed so on 12 is gone after the upgrade to 13 that moves the path.
#
# Packages: Debian 12's dpkg 1.21.23 with mount 2.38.1-5+deb12u3, Debian 13's dpkg 1.22.22 with mount 2.41.5-0+deb13u1.
# Nothing of the kernel matters. The packages go to a root of their own, below the temporary folder.
#
# Seen:
#   Linux 6.18.44
#   12, /sbin/swapon, the package's own spelling: the wrapper
#   12, /usr/sbin/swapon: the package's file
#   12, what dpkg --verify says then: 
#   13, /usr/sbin/swapon, the package's own spelling: the wrapper
#   13, /sbin/swapon: the package's file

set -Eeuo pipefail
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
unchecked() { echo "not checked: $1" >&2; exit 2; }
[ "$(id -u)" = 0 ] || unchecked "it needs root"
[ "$(dpkg --print-architecture)" = amd64 ] || unchecked "the packages that it names are amd64's"
# A mount namespace of its own: what is mounted here is seen nowhere else and ends with it.
[ "${1-}" = --inside ] || exec unshare --mount --propagation private -- bash "$0" --inside
trap 'unchecked "line $LINENO failed"' ERR
# shellcheck disable=SC2317 # The trap calls it.
cleanup() {
    trap - ERR
    set +e
    cd /
    umount --lazy /mnt
    rm -rf "$work"
}
work=$(mktemp -d /var/tmp/finding.XXXXXX)
mount --bind "$work" /mnt
trap cleanup EXIT
cd /mnt

# SUITE TREE NAME=VERSION...: Debian packages, unpacked and not installed.
packages() {
    local suite=$1 tree=$2 apt=$PWD/apt mirror package
    shift 2
    # shellcheck disable=SC2016 # The dollar is apt's.
    mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Label: Debian' | head -n 1)
    mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$tree"/usr/{bin,sbin,lib,lib64}
    for package in bin sbin lib lib64; do ln -s "usr/$package" "$tree/$package"; done
    echo "deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" > "$apt/list"
    apt=(-qq -o APT::Sandbox::User=root -o "Dir::Etc::SourceList=$apt/list" -o Dir::Etc::SourceParts=/dev/null
        -o "Dir::State::Lists=$apt/lists" -o Dir::State::Status=/dev/null -o "Dir::Cache=$apt")
    apt-get "${apt[@]}" update || unchecked "the archive cannot be read"
    (cd "$tree" && apt-get "${apt[@]}" download "$@") || unchecked "the archive has no such version any more"
    for package in "$tree"/*.deb; do dpkg -x "$package" "$tree"; done
}

# TREE PROGRAM ARGUMENT...: with the libraries of its own release.
run() {
    local lib=$1/lib/x86_64-linux-gnu program=$1/$2
    shift 2
    "$lib/ld-linux-x86-64.so.2" --library-path "$lib" "$program" "$@"
}

echo "Linux $(uname -r)"
status=0
seen() { # WHAT, AS IT IS, AS IT WAS
    if [ "$2" = "$3" ]; then echo "$1: $2"; else echo "CHANGED $1: $2; it was: $3"; status=1; fi
}

packages bookworm dpkg-12 dpkg=1.21.23 libmd0=1.0.4-2 libselinux1=3.4-1+b6 libpcre2-8-0=10.42-1 libc6=2.36-9+deb12u14 \
    mount=2.38.1-5+deb12u3
packages trixie dpkg-13 dpkg=1.22.22 libmd0=1.1.0-2+b1 libselinux1=3.8.1-1 libpcre2-8-0=10.46-1~deb13u3 \
    libc6=2.41-12+deb13u5 mount=2.41.5-0+deb13u1

# Only unpacked, without what it depends on: no script of the package runs.
unpack() { run "$1" usr/bin/dpkg --root=/mnt/root --force-depends --unpack "$1"/mount_*.deb > said 2>&1; }
after_an_upgrade() { # DPKG-TREE PATH: who stands at the tool's name
    local dir
    rm -rf root
    mkdir -p root/var/lib/dpkg/{info,updates,triggers} root/usr/{bin,sbin,lib,lib64}
    for dir in bin sbin lib lib64; do ln -s "usr/$dir" "root/$dir"; done
    touch root/var/lib/dpkg/status
    unpack "$1"
    run "$1" usr/bin/dpkg-divert --root /mnt/root --local --rename --divert "$2.real" --add "$2" > said
    [ ! -e root/usr/sbin/swapon ] || unchecked "dpkg-divert did not move the file"
    echo "a wrapper" > root/usr/sbin/swapon
    unpack "$1"
    grep -q "a wrapper" root/usr/sbin/swapon && echo "the wrapper" || echo "the package's file"
}
seen "12, /sbin/swapon, the package's own spelling" "$(after_an_upgrade dpkg-12 /sbin/swapon)" "the wrapper"
seen "12, /usr/sbin/swapon" "$(after_an_upgrade dpkg-12 /usr/sbin/swapon)" "the package's file"
seen "12, what dpkg --verify says then" "$(run dpkg-12 usr/bin/dpkg --root=/mnt/root --verify mount)" ""
seen "13, /usr/sbin/swapon, the package's own spelling" "$(after_an_upgrade dpkg-13 /usr/sbin/swapon)" "the wrapper"
seen "13, /sbin/swapon" "$(after_an_upgrade dpkg-13 /sbin/swapon)" "the package's file"
exit $status
