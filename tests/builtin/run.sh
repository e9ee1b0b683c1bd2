# run.sh KIND SCRIPT BIN SCRATCH: runs one of the scripts, in a mount namespace that the caller has made.
# KIND is native (a directory of plain ext4, tools from BIN), or plain or overlay (a guest without a swapon of its
# own whose root is that, with BIN/rootfs-shim standing under the tools' names). Whatever happens, nothing is left.
set -u
# Where the machine has swap of its own, the caller has a /proc/swaps without it.
hide() { [ ! -e "$scratch/swaps" ] || mount --bind "$scratch/swaps" "$1/swaps"; }
kind=$1 script=$2 bin=$3 scratch=$4
here=$(dirname "$0")
mkdir -p "$scratch/mnt" "$scratch/root"
cleanup() {
    cd "$scratch"
    umount mnt/sub 2>/dev/null
    for file in mnt/* mnt/sub/* mnt/upper/* mnt/upper/data/* mnt/data/*; do [ -f "$file" ] && /usr/sbin/swapoff "$file" 2>/dev/null; done
    umount /etc/fstab 2>/dev/null
    losetup -n -O NAME,BACK-FILE | while read -r loop file; do
        case $file in "$scratch"/*) /usr/sbin/swapoff "$loop" 2>/dev/null; chmod 660 "$loop"; losetup -d "$loop" ;; esac
    done
    umount -R -l "$scratch/root" "$scratch/mnt" 2>/dev/null
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM
rm -f "$scratch/disk.img"
truncate -s 256M "$scratch/disk.img"
mkfs.ext4 -q -b 4096 "$scratch/disk.img"
mount -o loop "$scratch/disk.img" "$scratch/mnt"
rmdir "$scratch/mnt/lost+found"

# A guest's tree at $1: BusyBox for the shell, our binary for the tools.
guest() {
    mkdir -p "$1/bin" "$1/usr/sbin" "$1/proc" "$1/dev" "$1/data" "$1/etc"
    cp "$(command -v busybox)" "$1/bin/busybox"
    for name in sh cat cut dd chmod rm ls sed sha1sum; do ln -s busybox "$1/bin/$name"; done
    cat "$here/prelude.sh" "$script" >"$1/script.sh"
    echo '/swapfile none swap sw,pri=3 0 0' >"$1/etc/fstab"
}
shims() {
    cp "$bin/rootfs-shim" "$1/bin/rootfs-shim"
    for name in swapon swapoff mkswap; do ln "$1/bin/rootfs-shim" "$1/usr/sbin/$name"; done
    mount -t proc proc "$1/proc"
    hide "$1/proc"
    mount --bind /dev "$1/dev"
    cd /
    chroot "$1" /bin/sh /script.sh
}
case $kind in
    native)
        cat "$here/prelude.sh" "$script" >"$scratch/script.sh"
        hide /proc
        cd "$scratch/mnt" && PATH=$bin:$PATH sh "$scratch/script.sh" ;;
    plain)
        guest "$scratch/mnt" && shims "$scratch/mnt" ;;
    overlay)
        guest "$scratch/lower"
        mkdir "$scratch/mnt/upper" "$scratch/mnt/work"
        mount -t overlay overlay -o "lowerdir=$scratch/lower,upperdir=$scratch/mnt/upper,workdir=$scratch/mnt/work" "$scratch/root"
        mkdir -p -m 700 "$scratch/root/.rootfs-shim/bin"
        shims "$scratch/root" ;;
esac
