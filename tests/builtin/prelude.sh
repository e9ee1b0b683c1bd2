# What the scripts beside this file begin with: they run in an empty directory of a native ext4, once with
# util-linux's tools and once with the builtins first in PATH, and the two outputs are compared byte by byte.
export LC_ALL=C
U=11111111-2222-3333-4444-555555555555
D=$PWD
MK=/usr/sbin/mkswap

# Runs a call and prints it, its output with ends of lines and tabs made visible, and its status.
r() {
    echo "--- $*"
    "$@" >"$D/.out" 2>"$D/.err"
    status=$?
    sed 's/\t/<T>/g;s/$/$/' "$D/.out"
    sed 's/^/E:/;s/$/$/' "$D/.err"
    echo "status $status"
}
# A file of so many KiB of written zeros, and one with a swap area made by util-linux.
zeros() { rm -f "$1"; dd if=/dev/zero of="$1" bs=1k count="$2" status=none; chmod "${3:-600}" "$1"; }
area() { name=$1; shift; zeros "$name" 4096; $MK -q -U $U "$@" "$name"; }
# Bytes at a place of a file.
poke() { printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none; }
sum() { sha1sum <"$1"; }
swaps() { r cat /proc/swaps; }
