#!/bin/sh
# Disks may come late, and whether all are there shows in whether there is a plan; dracut asks until this succeeds.
# shellcheck disable=SC2154
if [ "$root" = rootfs-shim ]; then
    reset=
    if getargbool 0 rootfs_shim.reset; then
        reset=--reset
    fi
    # shellcheck disable=SC2086
    rootfs-shim mount --dry-run $reset --config /etc/rootfs-shim.toml "$NEWROOT" >/dev/null 2>&1
fi
