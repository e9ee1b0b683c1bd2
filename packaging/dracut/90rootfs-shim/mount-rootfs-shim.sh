#!/bin/sh
# Puts the root together where dracut wants it; NEWROOT, root, getargbool, warn and die are dracut's.
# shellcheck disable=SC2154
if [ "$root" = rootfs-shim ]; then
    reset=
    if getargbool 0 rootfs_shim.reset; then
        reset=--reset
    fi
    # shellcheck disable=SC2086
    rootfs-shim mount $reset --install --config /etc/rootfs-shim.toml "$NEWROOT" >/dev/null ||
        die "rootfs-shim could not put the root together"
    rootfs-shim swap --config /etc/rootfs-shim.toml >/dev/null || warn "going on without the swap device"
fi
