#!/bin/bash
# A swapon that the kernel refuses has filled the disk before it says so.
#
# A good guess: swapon of a file on overlayfs fails with EINVAL and changes nothing; so a boot that tries it at each start
# with `nofail`, or with `|| true`, costs nothing.
# What happens: swapon(2) opens the file for reading and writing, and for overlayfs that is a write: the whole file is
# copied from the lower layer to the upper one first. Then the kernel finds that overlayfs cannot hold swap. The call
# fails, and the copy stays: the image's 1 GiB swapfile takes 1 GiB of the writable layer (of the RAM, where that is a
# tmpfs) for good.
#
# Packages: Debian 12's util-linux 2.38.1-5+deb12u3. Seen on Linux 6.18.
# Needs e2fsprogs.
#
# Seen:
#   Linux 6.18.44
#   files in upper before: 0
#   swapon's exit status: 255
#   what swapon says: swapon: /mnt/root/swapfile: swapon failed: Invalid argument
#   what upper holds after, and its bytes: swapfile 33554432
#   MiB of the disk that are gone: 32
#   active areas there: 0

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
    libc6=2.36-9+deb12u14 libselinux1=3.4-1+b6 libpcre2-8-0=10.42-1

# Swap is the whole machine's: this is the lock of the project's tests.
exec 9>> /run/lock/rootfs-shim-swap.lock
flock 9
mkdir lower disk root
truncate -s 80M image.ext4 disk.ext4
mkfs.ext4 -q image.ext4
mkfs.ext4 -q disk.ext4
mount -o loop image.ext4 lower
fallocate -l 32M lower/swapfile
chmod 600 lower/swapfile
run tree sbin/mkswap -q lower/swapfile
mount -o remount,ro lower
mount -o loop disk.ext4 disk
mkdir disk/upper disk/work
mount -t overlay -o lowerdir=lower,upperdir=disk/upper,workdir=disk/work overlay root
area=root/swapfile

seen "files in upper before" "$(find disk/upper -type f | wc -l)" 0
used=$(stat -f -c '%f' disk)
result=0
run tree sbin/swapon root/swapfile 2> said || result=$?
seen "swapon's exit status" "$result" 255
seen "what swapon says" "$(cat said)" "swapon: /mnt/root/swapfile: swapon failed: Invalid argument"
seen "what upper holds after, and its bytes" "$(find disk/upper -type f -printf '%P %s')" "swapfile 33554432"
seen "MiB of the disk that are gone" "$(((used - $(stat -f -c '%f' disk)) * $(stat -f -c '%S' disk) >> 20))" 32
seen "active areas there" "$(grep -c /mnt /proc/swaps || :)" 0
exit $status
