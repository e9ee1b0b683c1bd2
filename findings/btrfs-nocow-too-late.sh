#!/bin/bash
# chattr +C on a btrfs file that has data exits 0 and does nothing; the swapon after it fails with no hint.
#
# A good guess: a chattr that cannot set an attribute says so (as it does for +i without the right, or +C on ext4).
# What happens: btrfs ignores the flag on a file that is not empty, without an error. The well-known sequence in the order of
# other filesystems (fallocate, chattr +C, mkswap, swapon) goes through up to swapon, which says "Invalid argument"; the
# reason is a line of the kernel's log. Only lsattr tells before. The file has to be made empty, given +C (or made in a
# directory that has it), and filled then. And who copies such a file beside itself (cp -a, for a second area or a backup)
# has two bad ones: cp shares the extents, lsattr says C of both, and swapon refuses the copy *and the first*, until one of
# them is deleted.
#
# Packages: Debian 12's e2fsprogs 1.47.0-2+b2, btrfs-progs 6.2-1+deb12u2, util-linux 2.38.1-5+deb12u3, coreutils 9.1-1.
# Seen on Linux 6.18.
#
# Seen:
#   Linux 6.18.44
#   chattr +C after fallocate: 0
#   lsattr then: none
#   mkswap: 0
#   swapon: 255, Invalid argument
#   chattr +C of a directory: 0
#   lsattr of a file made in it: C
#   swapon of that: 0
#   swapoff: 0
#   lsattr of its copy beside it: C
#   swapon of the copy: 255, Invalid argument
#   swapon of the first: 255, Invalid argument
#   swapon of the first when the copy is gone: 0
#   swapoff: 0

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
    [ -z "$area" ] || swapoff "/mnt/$area" 2> /dev/null
    umount --lazy /mnt
    rm -rf "$work"
}
area=
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

v=2.38.1-5+deb12u3
packages bookworm tree mount=$v util-linux=$v libmount1=$v libblkid1=$v libuuid1=$v libsmartcols1=$v \
    e2fsprogs=1.47.0-2+b2 libext2fs2=1.47.0-2+b2 libcom-err2=1.47.0-2+b2 btrfs-progs=6.2-1+deb12u2 \
    libudev1=252.39-1~deb12u2 coreutils=9.1-1 libattr1=1:2.5.1-4 libacl1=2.3.1-3 \
    libc6=2.36-9+deb12u14 libselinux1=3.4-1+b6 libpcre2-8-0=10.42-1

# Swap is the whole machine's: this is the lock of the project's tests.
exec 9>> /run/lock/rootfs-shim-swap.lock
flock 9
mkdir disk
truncate -s 256M disk.btrfs
run tree sbin/mkfs.btrfs -q disk.btrfs > /dev/null
mount -o loop disk.btrfs disk
cd disk
area=disk/late
of() { # COMMAND...: its exit status, and what it says
    local result=0
    "$@" > ../said 2>&1 || result=$?
    echo "$result$(sed -n '1s/.*: /, /p' ../said)"
}
attribute() { run ../tree usr/bin/lsattr "$1" | grep -q '^[^ ]*C' && echo C || echo none; }

fallocate -l 32M late
chmod 600 late
seen "chattr +C after fallocate" "$(of run ../tree usr/bin/chattr +C late)" 0
seen "lsattr then" "$(attribute late)" none
seen "mkswap" "$(of run ../tree sbin/mkswap -q late)" 0
seen "swapon" "$(of run ../tree sbin/swapon late)" "255, Invalid argument"

mkdir swap
seen "chattr +C of a directory" "$(of run ../tree usr/bin/chattr +C swap)" 0
area=disk/swap/one
fallocate -l 32M swap/one
chmod 600 swap/one
run ../tree sbin/mkswap -q swap/one
seen "lsattr of a file made in it" "$(attribute swap/one)" C
seen "swapon of that" "$(of run ../tree sbin/swapon swap/one)" 0
seen "swapoff" "$(of run ../tree sbin/swapoff swap/one)" 0
run ../tree bin/cp -a swap/one swap/two
seen "lsattr of its copy beside it" "$(attribute swap/two)" C
area=disk/swap/two
seen "swapon of the copy" "$(of run ../tree sbin/swapon swap/two)" "255, Invalid argument"
area=disk/swap/one
seen "swapon of the first" "$(of run ../tree sbin/swapon swap/one)" "255, Invalid argument"
rm swap/two
seen "swapon of the first when the copy is gone" "$(of run ../tree sbin/swapon swap/one)" 0
seen "swapoff" "$(of run ../tree sbin/swapoff swap/one)" 0
exit $status
