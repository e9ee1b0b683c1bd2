#!/bin/sh
# What a user of Docker does, in a guest whose programs are this machine's: the daemons are started, an image is
# imported, layers are committed, containers run. Prints the storage driver of Docker, how many KiB the filesystem
# of its data grew, and whether containerd's own overlayfs snapshotter runs a container.
#
# usage: docker.sh outside ROOT      ROOT is a mounted guest
#
# The daemons, the containers and what they mount live in namespaces that end with their first process. Only
# control groups belong to the machine: they are all below one of our own, and that is removed. There is no
# network, so nothing touches the machine's firewall.
set -eu
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C

outside() {
    group=rootfs-shim-docker.$$
    trap emptied EXIT
    timeout -s KILL 240 unshare --mount --propagation private --pid --fork --kill-child --net --ipc --uts -- \
        sh "$0" inside "$1" "$group"
}

# The last process of a group leaves it a moment after its death.
emptied() {
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        find /sys/fs/cgroup -depth -type d -path "*/$group*" -exec rmdir {} + 2>/dev/null || true
        [ -n "$(find /sys/fs/cgroup -type d -name "$group")" ] || return 0
        sleep 0.2
    done
    echo "control groups are left: $group" >&2
    exit 1
}

inside() {
    mount -t proc proc "$1/proc"
    mount -t sysfs sysfs "$1/sys"
    mount --rbind /sys/fs/cgroup "$1/sys/fs/cgroup"
    mount --rbind /dev "$1/dev"
    for dir in run tmp; do mount -t tmpfs tmpfs "$1/$dir"; done
    cp "$0" "$1/tmp/docker.sh"
    chroot "$1" sh /tmp/docker.sh guest "$2" && return 0
    tail -n 20 "$1"/tmp/*.log >&2
    return 1
}

# Until a command succeeds, at most half a minute.
await() {
    tries=0
    until "$@" >/tmp/await.log 2>&1; do
        tries=$((tries + 1))
        [ $tries -lt 300 ] || return 1
        sleep 0.1
    done
}

used() {
    sync -f "$1"
    df --output=used "$1" | tail -n 1
}

guest() {
    mkdir -p /var/lib/docker /var/lib/containerd
    before=$(used /var/lib/docker)
    containerd >/tmp/containerd.log 2>&1 &
    await ctr version
    dockerd --containerd /run/containerd/containerd.sock --iptables=false --ip6tables=false --bridge=none \
        --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "/$1" >/tmp/dockerd.log 2>&1 &
    await docker info
    mkdir -p /tmp/image/bin
    cp /bin/busybox /tmp/image/bin/
    for name in sh cat dd wc; do ln -s busybox /tmp/image/bin/$name; done
    tar -C /tmp/image -c . | docker import - layered >/dev/null
    for n in 1 2 3 4 5 6; do
        docker run --network none --name "c$n" layered dd if=/dev/urandom of=/file$n bs=1M count=4 2>/dev/null
        docker commit "c$n" layered >/dev/null
        docker rm "c$n" >/dev/null
    done
    [ "$(docker run --rm --network none layered sh -c 'cat /file* | wc -c')" = $((6 * 4 << 20)) ]
    after=$(used /var/lib/docker)
    docker info --format 'driver {{.Driver}}'
    echo "grew $((after - before))"
    # A container's own cgroup path is made absolute by ctr as it is.
    docker save layered | ctr image import - >/dev/null
    if ctr run --rm --snapshotter overlayfs --cgroup "/$1/own" docker.io/library/layered:latest own \
        sh -c 'echo x > /file1 && cat /file1' >/tmp/ctr.log 2>&1; then
        echo "snapshotter works"
    else
        echo "snapshotter fails: $(tail -n 1 /tmp/ctr.log)"
    fi
}

"$@"
