#!/bin/bash
# An overlay whose upper is a full xfs comes back read-only, with exit status 0, and nothing can be deleted to mend it.
#
# A good guess: a full disk still mounts, and one makes room by deleting files; or, if the overlay cannot be had, mount fails.
# What happens: overlayfs makes a directory in its work directory at each mount. A full xfs says ENOSPC to that, and
# overlayfs then mounts without a writable layer: mount(8) exits 0, one line in the kernel's log says "mounting read-only", rm fails with EROFS and a remount to rw is refused. A machine that
# filled its disk boots into a root on which nothing works, and the way out is to delete below the upper directory while the
# overlay is not mounted. ext4 and btrfs, filled alike, mount read-write.
#
# Packages: Debian 12's xfsprogs 6.1.0-1 (the same was seen with 6.13.0, and with `parent=1`, where more must be free).
# Seen on Linux 6.18. Needs e2fsprogs and btrfs-progs.
#
# Seen:
#   Linux 6.18.44
#   ext4, full, mounted again: rw, rm 0, remount 0
#   btrfs, full, mounted again: rw, rm 0, remount 0
#   xfs, full, mounted again: ro, rm 1, remount 32

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

packages bookworm tree xfsprogs=6.1.0-1 libblkid1=2.38.1-5+deb12u3 libuuid1=2.38.1-5+deb12u3 libinih1=55-1 \
    liburcu8=0.13.2-1 libc6=2.36-9+deb12u14

mkdir lower disk root
filled_and_mounted_again() { # ext4 | btrfs | xfs: rw or ro, and the exit statuses of rm and remount
    local how rm=0 remount=0
    rm -f disk.img
    truncate -s 330M disk.img
    case $1 in
        xfs) run tree sbin/mkfs.xfs -q disk.img ;;
        *) "mkfs.$1" -q disk.img > /dev/null 2>&1 ;;
    esac
    mount -o loop disk.img disk
    mkdir disk/upper disk/work
    overlay
    dd if=/dev/zero of=root/large bs=64k 2> /dev/null || :
    dd if=/dev/zero of=root/small bs=512 2> /dev/null || :
    umount root
    umount disk
    mount -o loop disk.img disk
    overlay
    how=$(findmnt -no FS-OPTIONS root | cut -d , -f 1)
    rm -f root/large 2> /dev/null || rm=$?
    mount -o remount,rw root 2> /dev/null || remount=$?
    echo "$how, rm $rm, remount $remount"
    umount root
    umount disk
}
overlay() { mount -t overlay -o lowerdir=lower,upperdir=disk/upper,workdir=disk/work overlay root; }
seen "ext4, full, mounted again" "$(filled_and_mounted_again ext4)" "rw, rm 0, remount 0"
seen "btrfs, full, mounted again" "$(filled_and_mounted_again btrfs)" "rw, rm 0, remount 0"
seen "xfs, full, mounted again" "$(filled_and_mounted_again xfs)" "ro, rm 1, remount 32"
exit $status
