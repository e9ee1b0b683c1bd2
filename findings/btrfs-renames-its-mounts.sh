#!/bin/bash
# A second mount of a btrfs, by another node of its device, renames the first mount in everybody's mount table.
#
# A good guess: what a mount table calls a mount's source is what that mount was made from, and stays so; a second mount, in
# a namespace of its own, of the same device by another name is nobody else's affair. So it is with ext4 and xfs.
# What happens: btrfs keeps one name for each device, the one that it was mounted or scanned by last, and shows every mount
# of the device under it, in every namespace. The name stays when the second mount, and even the node, is gone: df, findmnt
# and whoever unmounts by device then read a path at which there is nothing.
#
# Packages: Debian 12's util-linux 2.38.1-5+deb12u3. Seen on Linux 6.18.
# Needs btrfs-progs and e2fsprogs.
#
# Seen:
#   Linux 6.18.44
#   ext4: before, by the node that it was mounted by: yes
#   ext4: after, it is called by the name: its
#   btrfs: before, by the node that it was mounted by: yes
#   btrfs: after, it is called by the name: /mnt/other-btrfs
#   btrfs: a file of that name: gone

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
    [ -z "$device" ] || losetup --detach "$device"
    umount --lazy /mnt
    rm -rf "$work"
}
device=
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

# The source of the first mount, as who only reads the mount table sees it.
source_of() { run tree bin/findmnt -rno SOURCE "/mnt/$1"; }

for fs in ext4 btrfs; do
    mkdir "$fs"
    truncate -s 160M "$fs.img"
    "mkfs.$fs" -q "$fs.img" > mkfs.log 2>&1
    device=$(losetup --find --show "$fs.img")
    mount -t "$fs" "$device" "$fs"
    seen "$fs: before, by the node that it was mounted by" "$([ "$(source_of "$fs")" = "$device" ] && echo yes)" yes
    numbers=$(stat -c '0x%t 0x%T' "$device")
    # shellcheck disable=SC2086 # Two numbers.
    mknod "other-$fs" b $numbers
    # In a namespace that ends with it.
    unshare --mount --propagation private -- sh -c "mkdir second-$fs && mount -t $fs /mnt/other-$fs second-$fs"
    rm "other-$fs"
    now=$(source_of "$fs")
    was=its
    [ "$now" = "$device" ] || was=$now
    if [ "$fs" = ext4 ]; then
        seen "$fs: after, it is called by the name" "$was" its
    else
        seen "$fs: after, it is called by the name" "$was" /mnt/other-btrfs
        seen "$fs: a file of that name" "$([ -e "$now" ] && echo there || echo gone)" gone
    fi
    umount "$fs"
    losetup --detach "$device"
    device=
done
exit $status
