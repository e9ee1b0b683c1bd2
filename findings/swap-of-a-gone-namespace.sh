#!/bin/bash
# /proc/swaps can name a file that is nowhere, with nothing to show that it is not there.
#
# A good guess: an area that was enabled in a mount namespace that has ended is off, or is listed by the path where it
# was, or with a mark, as /proc says " (deleted)" of a file.
# What happens: the area stays on, since swap belongs to the machine; and as its mount is attached nowhere any more, the
# kernel prints the path from that mount's own root: /sub/name becomes /name, a path of the root filesystem at which there
# is no file, or another one. So swapoff of what swapon --show prints fails with ENOENT, and a script that loops over that
# list, or checks free space at that path, works on the wrong file. (A shutdown's `umount --lazy` does the same.)
#
# Packages: Debian 12's util-linux 2.38.1-5+deb12u3. Seen on Linux 6.18.
# Needs e2fsprogs.
#
# Seen:
#   Linux 6.18.44
#   swapon in a namespace that ends: 0
#   swapon --show names: /NAME
#   files of that name in /: 0
#   swapoff of the name listed: 4: swapoff: /NAME: swapoff failed: No such file or directory
#   swapoff by another way to the file: 0

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
mkdir disk there
truncate -s 80M disk.ext4
mkfs.ext4 -q disk.ext4
mount -o loop disk.ext4 disk
name=finding.$$.swap
mkdir disk/sub
fallocate -l 32M "disk/sub/$name"
chmod 600 "disk/sub/$name"
run tree sbin/mkswap -q "disk/sub/$name"
area=disk/sub/$name
of() { # COMMAND...: its exit status
    local result=0
    "$@" 2> said || result=$?
    echo "$result"
}

export -f run
export name
# shellcheck disable=SC2016 # The inner shell expands it.
seen "swapon in a namespace that ends" "$(of unshare --mount --propagation private bash -c '
    mount --bind disk/sub there && run tree sbin/swapon "there/$name"')" 0
listed=$(run tree sbin/swapon --noheadings --show=NAME | grep -F "$name" || :)
seen "swapon --show names" "${listed/$name/NAME}" /NAME
seen "files of that name in /" "$(find / -maxdepth 1 -name "$name" | wc -l)" 0
seen "swapoff of the name listed" "$(of run tree sbin/swapoff "$listed"): $(sed "s/$name/NAME/" said)" \
    "4: swapoff: /NAME: swapoff failed: No such file or directory"
seen "swapoff by another way to the file" "$(of run tree sbin/swapoff "disk/sub/$name")" 0
exit $status
