#!/bin/bash
# With index=on, the same files in a new image are another lower layer: the root does not mount after an update.
#
# A good guess: an overlay reads its layers by path. As long as an image is rebuilt with the same files in it (or with a few
# newer ones, the usual update below a writable disk), the disk of yesterday mounts above it.
# What happens: so it is by default. With index=on (which hard links of the image need to stay links, and NFS export too), the
# upper directory keeps the file handle of the lower root, and with it the UUID of the filesystem. mkfs gives each image
# a new one, so the mount fails with ESTALE, "Stale file handle", words that nobody looks up under overlayfs. A copy of the
# image is the same to it; and so is one rebuilt with a fixed UUID and hash seed, if mkfs then makes the same bytes.
#
# Packages: Debian 12's e2fsprogs 1.47.0-2+b2. Seen on Linux 6.18.
#
# Seen:
#   Linux 6.18.44
#   index=off, the first mount: 0
#   index=off, the image rebuilt: 0
#   index=on, the first mount: 0
#   index=on, the image rebuilt: 32, Stale file handle.
#   index=on, a copy of the image: 0

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

v=1.47.0-2+b2
packages bookworm tree e2fsprogs=$v libext2fs2=$v libcom-err2=$v libblkid1=2.38.1-5+deb12u3 libuuid1=2.38.1-5+deb12u3 \
    libc6=2.36-9+deb12u14

mkdir -p files/etc lower disk root
echo "of the image" > files/etc/hostname
image() { # NAME [OPTION...]: an image of the same files, as mkfs makes it
    local name=$1
    shift
    rm -f "$name"
    truncate -s 32M "$name"
    E2FSPROGS_FAKE_TIME=1700000000 run tree sbin/mkfs.ext4 -q -d files "$@" "$name"
}
above() { # IMAGE OPTION: the exit status of the overlay's mount, and what it says
    local result=0
    mount -o loop,ro "$1" lower
    mount -t overlay -o "lowerdir=lower,upperdir=disk/upper,workdir=disk/work,$2" overlay root 2> said || result=$?
    echo "$result$(sed -n '1s/.*: /, /p' said)"
    [ "$result" != 0 ] || umount root
    umount lower
}
writable() {
    ! mountpoint -q disk || umount disk
    rm -f disk.ext4
    truncate -s 64M disk.ext4
    run tree sbin/mkfs.ext4 -q disk.ext4
    mount -o loop disk.ext4 disk
    mkdir disk/upper disk/work
}
image yesterday
image today
for option in index=off index=on; do
    writable
    seen "$option, the first mount" "$(above yesterday "$option")" 0
    seen "$option, the image rebuilt" "$(above today "$option")" \
        "$([ "$option" = index=off ] && echo 0 || echo "32, Stale file handle.")"
done
cp yesterday copy
seen "index=on, a copy of the image" "$(above copy index=on)" 0
exit $status
