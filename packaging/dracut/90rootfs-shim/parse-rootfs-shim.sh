#!/bin/sh
# root=rootfs-shim is a root that dracut need not wait for.
# shellcheck disable=SC2034,SC2154
if [ "$root" = rootfs-shim ]; then
    rootok=1
fi
