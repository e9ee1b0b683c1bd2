#!/bin/sh
# rootfs_shim on the kernel's command line takes the place of root=.
# shellcheck disable=SC2034
if getargbool 0 rootfs_shim; then
    root=rootfs-shim
    rootok=1
fi
