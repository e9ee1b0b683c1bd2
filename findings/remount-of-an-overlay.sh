#!/bin/bash
# util-linux 2.41 cannot remount an overlay root read-only, or with any other option; 2.38 could.
#
# A good guess: `mount -o remount,ro /` is one of the oldest calls there is, and an update of util-linux keeps it.
# What happens: mount(8) reads the mount's options from the kernel and gives them back with the new ones, one by one, by
# fsconfig(2). overlayfs takes no options at all in a reconfiguration that comes by that call ("No changes allowed in
# reconfigure"), so the mount fails with status 32 and nothing changes: scripts that freeze a root, systemd-remount-fs at
# boot, emergency remounts. 2.38 uses mount(2), whose options overlayfs ignores in a remount, and so does 2.41 when
# LIBMOUNT_FORCE_MOUNT2=always is set.
#
# Packages: Debian 12's mount 2.38.1-5+deb12u3, Debian 13's mount 2.41.5-0+deb13u1. Seen on Linux 6.18; the same was seen
# on 6.12 and 7.2, while 6.1 lets 2.41 remount.
# Needs e2fsprogs.
#
# Seen:
#   Linux 6.18.44
#   2.38 remounts ro: 0, ro
#   2.38 remounts rw: 0, rw
#   2.41 remounts ro: 32, rw, No changes allowed in reconfigure.
#   2.41 remounts noatime: 32, rw, No changes allowed in reconfigure.
#   2.41 remounts ro by mount(2): 0, ro

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

packages bookworm old mount=2.38.1-5+deb12u3 libmount1=2.38.1-5+deb12u3 libblkid1=2.38.1-5+deb12u3 \
    libc6=2.36-9+deb12u14 libselinux1=3.4-1+b6 libpcre2-8-0=10.42-1
packages trixie new mount=2.41.5-0+deb13u1 libmount1=2.41.5-0+deb13u1 libblkid1=2.41.5-0+deb13u1 \
    libc6=2.41-12+deb13u5 libselinux1=3.8.1-1 libpcre2-8-0=10.46-1~deb13u3

mkdir lower disk root
truncate -s 64M disk.ext4
mkfs.ext4 -q disk.ext4
mount -o loop disk.ext4 disk
mkdir disk/upper disk/work
mount -t overlay -o lowerdir=lower,upperdir=disk/upper,workdir=disk/work overlay root
remount() { # TREE OPTION: the exit status, what it says first, and what the mount is then
    local result=0
    run "$1" bin/mount -o "remount,$2" root 2> said || result=$?
    echo "$result, $(findmnt -no VFS-OPTIONS,FS-OPTIONS root | grep -ow -m 1 -e ro -e rw | head -n 1)$(sed -n '1s/.*: /, /p' said)"
}
seen "2.38 remounts ro" "$(remount old ro)" "0, ro"
seen "2.38 remounts rw" "$(remount old rw)" "0, rw"
seen "2.41 remounts ro" "$(remount new ro)" "32, rw, No changes allowed in reconfigure."
seen "2.41 remounts noatime" "$(remount new noatime)" "32, rw, No changes allowed in reconfigure."
export LIBMOUNT_FORCE_MOUNT2=always
seen "2.41 remounts ro by mount(2)" "$(remount new ro)" "0, ro"
exit $status
