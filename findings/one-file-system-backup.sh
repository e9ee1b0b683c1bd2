#!/bin/bash
# A backup of an overlay root with --one-file-system has no file in it, and says that all is well.
#
# A good guess: an overlay is one filesystem, so "stay on this filesystem" keeps all of /, or at worst leaves out what
# lies on volumes.
# What happens: where lower and upper are two filesystems (an image below a disk: every live system, many microVMs),
# overlayfs gives its directories one st_dev and each file that of the layer it comes from, unless it is mounted with
# xino. restic leaves out *every* file as one of another filesystem, keeps the directories, and exits 0 without a
# warning. `du -x` counts the directories alone. `find -xdev` and `tar --one-file-system` compare directories only and
# keep all. With xino=on (which needs inode numbers with a spare bit, as those of squashfs and ext4) all four agree.
#
# Packages: Debian 13's restic 0.18.0-1+b4, coreutils 9.7-3, findutils 4.10.0-3, tar 1.35+dfsg-3.1. Seen on Linux 6.18.
# (`find -mount`, an alias of -xdev up to findutils 4.10, leaves out all files as well since 4.11.)
# Needs squashfs-tools and e2fsprogs.
#
# Seen:
#   Linux 6.18.44
#   xino=off: restic's exit status, and warnings: 0, 0
#   xino=off: files in restic's backup: 0
#   xino=off: du -x counts what the files take: no
#   xino=off: files by find -xdev: 4
#   xino=off: files by tar --one-file-system: 4
#   xino=on: restic's exit status, and warnings: 0, 0
#   xino=on: files in restic's backup: 4
#   xino=on: du -x counts what the files take: yes
#   xino=on: files by find -xdev: 4
#   xino=on: files by tar --one-file-system: 4

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

packages trixie tree restic=0.18.0-1+b4 coreutils=9.7-3 findutils=4.10.0-3 tar=1.35+dfsg-3.1 \
    libc6=2.41-12+deb13u5 libselinux1=3.8.1-1 libpcre2-8-0=10.46-1~deb13u3 libacl1=2.3.2-2+b1

mkdir -p image/etc image/srv lower disk root
for file in etc/fstab etc/hostname srv/database; do echo "from the image" > "image/$file"; done
mksquashfs image image.squashfs -quiet -no-progress > /dev/null
truncate -s 64M disk.ext4
mkfs.ext4 -q disk.ext4
mount -t squashfs -o loop image.squashfs lower
mount -o loop disk.ext4 disk
mkdir disk/upper disk/work
export RESTIC_PASSWORD=x RESTIC_PROGRESS_FPS=0
restic() { run ../tree usr/bin/restic --repo ../backup --no-cache "$@"; }

root_with() { # OPTION, the files that restic sees, and whether du does
    local result kib
    mount -t overlay -o "lowerdir=lower,upperdir=disk/upper,workdir=disk/work,$1" overlay root
    cd root
    dd if=/dev/zero of=srv/written bs=1k count=512 status=none
    echo "on it" > etc/hostname
    rm -rf ../backup
    restic --quiet init
    result=0
    restic backup --one-file-system . > ../said 2>&1 || result=$?
    seen "$1: restic's exit status, and warnings" "$result, $(grep -ciE 'warn|error|skip' ../said || :)" "0, 0"
    seen "$1: files in restic's backup" "$(restic ls --quiet --json latest | grep -c '"type":"file"' || :)" "$2"
    kib=$(run ../tree usr/bin/du -xsk . | cut -f 1)
    seen "$1: du -x counts what the files take" "$([ "$kib" -ge 512 ] && echo yes || echo no)" "$3"
    seen "$1: files by find -xdev" "$(run ../tree usr/bin/find . -xdev -type f | wc -l)" 4
    seen "$1: files by tar --one-file-system" "$(run ../tree usr/bin/tar --one-file-system -c . | tar -t | grep -vc '/$')" 4
    cd ..
    umount root
}
root_with xino=off 0 no
root_with xino=on 4 yes
exit $status
