# What every bench stands on, to be sourced as its first line: the release binary, the small C programs of
# tools/, and a place in RAM inside of a mount namespace, which is gone afterwards with its loop devices and swap.
#
# A bench prints rows of one table (`row`); `benches/run` prints them all. Times are tenth percentiles (`low`) in
# microseconds, because other work only ever adds to them, and what is compared runs in turns. No time is
# asserted: this is a machine's word, not a law. With BINARY in the environment that one is measured, and none is
# built.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
if [ -z "${BENCH_SCRATCH:-}" ]; then
    [ "$(id -u)" -eq 0 ] || { echo "$0: swap, mounts and loop devices need root; run: sudo $0" >&2; exit 1; }
    [ -n "${BINARY:-}" ] || (cd "$here/.." && cargo build --quiet --release --locked)
    scratch=$(mktemp -d)
    trap 'rmdir "$scratch"' EXIT
    BENCH_SCRATCH=$scratch unshare -m --propagation private "$0" "$@"
    exit
fi

mount -t tmpfs -o size=80% bench "$BENCH_SCRATCH"
cd "$BENCH_SCRATCH"
mkdir tools
cp "${BINARY:-$(echo "$here"/../target/*/release/rootfs-shim)}" tools/rootfs-shim
for source in "$here"/tools/*.c; do
    gcc -O2 -o "tools/$(basename "$source" .c)" "$source"
done
rustc --edition 2024 -O -C target-feature=+crt-static -C panic=abort -C strip=symbols -o tools/bare "$here/tools/bare.rs"

loops=()
leave() {
    cd /
    local line
    while read -r line; do swapoff "$line" 2>/dev/null || :; done \
        < <(awk -v at="$BENCH_SCRATCH/" 'index($1, at) == 1 { print $1 }' /proc/swaps)
    for line in "${loops[@]}"; do swapoff "$line" 2>/dev/null || :; done
    # umount(8) takes them one by one, each time reading the table anew; this takes thousands at once.
    umount -l "$BENCH_SCRATCH" 2>/dev/null || :
    for line in "${loops[@]}"; do losetup -d "$line" 2>/dev/null || :; done
}
trap leave EXIT

# A loop device over a new file in RAM, in $device. Whoever has swap on it must say `pinned`: the kernel moves pages
# of a tmpfs to swap, also those that the swap itself is made of, and then each waits for the other for ever. Those
# of a ramfs stay, and they are there from the beginning, so that nobody who writes to them is charged for them.
device() { # SIZE NAME [pinned]
    local file=$2
    if [ "${3:-}" = pinned ]; then
        mkdir "$2.ram"
        mount -t ramfs ram "$2.ram"
        file=$2.ram/$2
        dd if=/dev/zero of="$file" bs=1M count="${1%M}" status=none
    else
        truncate -s "$1" "$file"
    fi
    device=$(losetup -f --show "$file")
    loops+=("$device")
}

# Swap is the machine's: one who uses it at a time, tests included. Until the script's end, or `unlock_swap`.
lock_swap() {
    mkdir -p /run/lock
    exec 8>/run/lock/rootfs-shim-swap.lock
    flock 8
}
unlock_swap() { exec 8>&-; }

# An overlay guest over this machine's own root, with the shim in it: /native is on the backing filesystem, /bench
# is tools/. `in_guest` runs something there.
guest() { # DEVICE
    mkdir -p top/native top/bench guest
    printf '[console]\npath = "/dev/null"\n' >guest.toml
    mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 "$1"
    tools/rootfs-shim mount --lower top --lower / --writable "$1" --config guest.toml --passthrough /native \
        --install guest >/dev/null
    mount -t proc proc guest/proc
    mount --rbind /dev guest/dev
    mount --bind tools guest/bench
}
in_guest() { chroot guest "$@"; }
swapfile() { # PATH-IN-THE-GUEST SIZE
    in_guest sh -ec 'fallocate -l "$2" "$1"; chmod 600 "$1"; mkswap -q "$1"' sh "$1" "$2"
}

low() { sort -n | sed -n "$((rounds / 10 + 1))p"; }
ratio() { awk "BEGIN { printf \"%.2f\", $1 / $2 }"; }
row() { # WHAT OURS AGAINST THEIRS [UNIT]
    local unit=${5-us}
    printf '| %s | %s %s | %s | %s %s | %s |\n' "$1" "$2" "$unit" "$3" "$4" "$unit" "$(ratio "$2" "$4")"
}
