#!/bin/bash
# dracut module: puts rootfs-shim, its configuration and what it runs into the initramfs, and mounts the root
# with it. Install the directory as /usr/lib/dracut/modules.d/90rootfs-shim; boot with rootfs_shim and without any
# root=, of which systemd would make a mount of its own. rootfs_shim.reset makes the writable layer new first.

check() {
    [ -f /etc/rootfs-shim.toml ] && require_binaries rootfs-shim mkfs.ext4
}

depends() {
    echo base
}

installkernel() {
    instmods overlay ext4 squashfs erofs loop virtio_blk virtio_pci
}

# dracut sets moddir and defines inst_*.
# shellcheck disable=SC2154
install() {
    inst_multiple rootfs-shim mkfs.ext4
    # A reset keeps the filesystem that the writable layer has.
    inst_multiple -o blkid mkfs.xfs mkfs.btrfs
    inst_simple /etc/rootfs-shim.toml
    inst_hook cmdline 90 "$moddir/parse-rootfs-shim.sh"
    inst_hook initqueue/finished 90 "$moddir/ready-rootfs-shim.sh"
    dracut_need_initqueue
    inst_hook mount 90 "$moddir/mount-rootfs-shim.sh"
}
