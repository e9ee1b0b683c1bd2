#!/bin/bash
# With util-linux 2.41, an overlay whose lowerdir= has 256 bytes or more does not mount; with 2.38 it may have 4096.
#
# A good guess: the limit of mount options is a page, as mount(2) has it, and an update of util-linux does not lower it.
# What happens: mount(8) hands each option over by fsconfig(2), which takes strings of at most 255 bytes. The call fails
# with EINVAL, mount(8) does not fall back to mount(2), and what it says is "wrong fs type, bad option, bad superblock": not
# a word of the length, and none in the kernel's log. Three layers in directories with long names are enough (a container's
# have 64 hex digits each). What helps: `lowerdir+=DIR` once for each layer, or LIBMOUNT_FORCE_MOUNT2=always.
#
# Packages: Debian 12's mount 2.38.1-5+deb12u3, Debian 13's mount 2.41.5-0+deb13u1. Seen on Linux 6.18; the same was seen
# with 2.42.4 on 6.12 and 7.2.
#
# Seen:
#   Linux 6.18.44
#   2.38, 255 bytes: 0
#   2.41, 255 bytes: 0
#   2.38, 256 bytes: 0
#   2.41, 256 bytes: 32, wrong fs type, bad option, bad superblock on overlay, missing codepage or helper program, or other error.
#   2.41, lowerdir+= twice: 0
#   2.41 by mount(2): 0

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

mkdir root b
layer() { # BYTES: a directory whose path has that many
    local path
    path=/mnt/$(printf "%0$((($1 - 6) / 2))d" 0)
    path+=/$(printf "%0$(($1 - ${#path} - 1))d" 0)
    mkdir -p "$path"
    echo "$path"
}
mounts() { # TREE OPTIONS: the exit status and what it says first
    local result=0
    run "$1" bin/mount -t overlay -o "$2" overlay root 2> said || result=$?
    echo "$result$(sed -n '1s/.*root: /, /p' said)"
    [ "$result" != 0 ] || umount root
}
refused="32, wrong fs type, bad option, bad superblock on overlay, missing codepage or helper program, or other error."
for bytes in 255 256; do
    long=$(layer $((bytes - 7))):/mnt/b
    [ "${#long}" = "$bytes" ]
    seen "2.38, $bytes bytes" "$(mounts old "lowerdir=$long")" 0
    seen "2.41, $bytes bytes" "$(mounts new "lowerdir=$long")" "$([ "$bytes" = 255 ] && echo 0 || echo "$refused")"
done
seen "2.41, lowerdir+= twice" "$(mounts new "lowerdir+=${long%:*},lowerdir+=/mnt/b")" 0
export LIBMOUNT_FORCE_MOUNT2=always
seen "2.41 by mount(2)" "$(mounts new "lowerdir=$long")" 0
exit $status
