#!/bin/bash
# An overlay can be unmounted while one of its files is active swap.
#
# A good guess: the filesystem of an active swapfile is busy, so umount fails with EBUSY, as on every native filesystem, and
# what shuts a machine down may rely on that.
# What happens: the swapfile was enabled by its path under the upper directory (its path on the overlay gives EINVAL), so it
# pins the backing filesystem only. The overlay, through which the file is seen and cannot be deleted (EPERM), unmounts with
# exit status 0, and the machine goes on swapping to it. Mounted again, it still may not be deleted there, and swapoff by the
# overlay's path still fails: what is left is the path under upper.
#
# Packages: Debian 12's util-linux 2.38.1-5+deb12u3. Seen on Linux 6.18.
# Needs e2fsprogs.
#
# Seen:
#   Linux 6.18.44
#   swapon by the path under upper: 0
#   rm through the overlay: 1: rm: cannot remove 'root/swapfile': Operation not permitted
#   umount of the overlay: 0
#   the area is still active: 1
#   umount of the backing filesystem: 32: umount: /mnt/disk: target is busy.
#   rm through the overlay, mounted again: 1
#   swapoff by the overlay's path: 4: swapoff: root/swapfile: swapoff failed: Invalid argument
#   swapoff by the path under upper: 0

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
truncate -s 80M disk.ext4
mkfs.ext4 -q disk.ext4
mount -o loop disk.ext4 disk
mkdir disk/upper disk/work
fallocate -l 32M disk/upper/swapfile
chmod 600 disk/upper/swapfile
run tree sbin/mkswap -q disk/upper/swapfile
area=disk/upper/swapfile
overlay() { mount -t overlay -o lowerdir=lower,upperdir=disk/upper,workdir=disk/work overlay root; }
of() { # COMMAND...: its exit status
    local result=0
    "$@" 2> said || result=$?
    echo "$result"
}

overlay
seen "swapon by the path under upper" "$(of run tree sbin/swapon disk/upper/swapfile)" 0
seen "rm through the overlay" "$(of rm -f root/swapfile): $(cat said)" \
    "1: rm: cannot remove 'root/swapfile': Operation not permitted"
seen "umount of the overlay" "$(of run tree bin/umount root)" 0
seen "the area is still active" "$(grep -c '^/mnt/disk/upper/swapfile ' /proc/swaps)" 1
seen "umount of the backing filesystem" "$(of run tree bin/umount disk): $(cat said)" "32: umount: /mnt/disk: target is busy."
overlay
seen "rm through the overlay, mounted again" "$(of rm -f root/swapfile)" 1
seen "swapoff by the overlay's path" "$(of run tree sbin/swapoff root/swapfile): $(cat said)" \
    "4: swapoff: root/swapfile: swapoff failed: Invalid argument"
seen "swapoff by the path under upper" "$(of run tree sbin/swapoff disk/upper/swapfile)" 0
exit $status
