#: classic
set -e; cd /; [ -z "$NOCOW" ] || { : >swapfile; chattr +C swapfile; }; fallocate -l 16M /swapfile; chmod 0600 /swapfile; mkswap /swapfile; swapon /swapfile; echo up

#: classic_in_one_line
space /swapfile && mkswap /swapfile && swapon /swapfile && echo up

#: round_trip
mk s
swapon s
swapoff s && rm s
mk s
swapon s
swapoff s
rm s
ls

#: round_trip_by_listing util-linux
mk s
swapon s
F=$(swapon --show=NAME | tail -n 1)
swapoff $F
rm $F
mk $F
swapon $F
echo $F

#: dd
dd if=/dev/zero of=s bs=1M count=16 2>/dev/null; chmod 600 s; mkswap s; [ -z "$NOCOW" ] || exit 0; swapon s; echo $?

#: tail_of_zeros_after_text
space s
echo text | dd of=s conv=notrunc 2>/dev/null
mkswap s
swapon s
echo $?

#: insecure_mode
mk s
chmod 644 s
swapon s
echo $?

#: insecure_owner
mk s
chown 1:1 s
swapon s
echo $?

#: by_full_path
mk s
/sbin/swapon s
echo $?
/sbin/swapoff s
echo $?
/sbin/mkswap s
echo $?

#: from_another_directory
mkdir -p d/e
cd d
mk e/s
cd e
swapon s
cd ../..
swapoff d/e/s
echo $?

#: with_set_e_and_pipefail util-linux
set -e
mk s
swapon s
swapon --show=NAME --noheadings | cat
swapoff s

#: loop_device
space s
D=$(losetup -f)
losetup $D s
mkswap $D | sed s,$D,D,
swapon $D
echo $?
swapoff $D
echo $?
losetup -d $D

#: a_script_that_asks_the_kernel
mk s; swapon s; grep -c ^/w/s /proc/swaps; grep -c rootfs-shim /proc/self/mountinfo >/dev/null; awk 'NR>1{print $1,$2,$3}' /proc/swaps

#: set_e_relative_underscore
set -e
space _swapfile
mkswap _swapfile
swapon _swapfile
rm -f nothing

#: dot_relative
mk ./swapfile
t swapon ./swapfile
t swapoff ./swapfile

#: written_by_dd_in_small_blocks
[ -z "$NOCOW" ] || { : >s; chattr +C s; }
dd if=/dev/zero of=s bs=4k count=2000 2>/dev/null
chmod 600 s
t mkswap s
t swapon s

#: odd_size
[ -z "$NOCOW" ] || { : >s; chattr +C s; }
fallocate -l 10000001 s
chmod 600 s
t mkswap s
t swapon s

#: eight_pages_is_too_small
[ -z "$NOCOW" ] || { : >s; chattr +C s; }
dd if=/dev/zero of=s bs=4k count=9 2>/dev/null
chmod 600 s
t mkswap s
dd if=/dev/zero of=s bs=4k count=10 2>/dev/null
chmod 600 s
t mkswap s
t swapon s
t swapoff s

#: empty_file
: >s
chmod 600 s
t mkswap s
t swapon s

#: not_formatted
space s
t swapon s
t swapoff s

#: missing_file
t swapon nope
t swapon /nope/s
t swapon ''
mkdir d
t swapon d

#: several_with_missing_and_unformatted
mk a
space b
mk c
t swapon a nope b c
t swapoff a nope b c

#: twice
mk s
t swapon s
t swapon s
t swapon s
t swapoff s
t swapoff s

#: grown_after_mkswap
mk s
fallocate -l 20M s
t swapon s

#: shrunk_after_mkswap
mk s
truncate -s 2M s
t swapon s
t swapoff s

#: signature_of_another_page_size
mk s
dd if=/dev/zero of=s bs=1 seek=4086 count=10 conv=notrunc 2>/dev/null
t swapon s
printf SWAPSPACE2 | dd of=s bs=1 seek=4086 conv=notrunc 2>/dev/null
t swapon s

#: corrupt_version
mk s
printf '\377' | dd of=s bs=1 seek=1024 conv=notrunc 2>/dev/null
t swapon s

#: moved_between_mkswap_and_swapon
mk s
mkdir d
mv s d/t
t swapon d/t
t swapoff d/t
mv d/t s
t swapon s

#: copied
mk s
[ -z "$NOCOW" ] || { : >c; chattr +C c; }
dd if=s of=c bs=1M conv=fsync 2>/dev/null
chmod 600 c
[ -z "$NOCOW" ] || exit 0
t swapon c

#: several_one_after_the_other
for i in 1 2 3 4; do mk s$i 2; t swapon s$i; done
for i in 2 4 1 3; do t swapoff s$i; rm s$i; done
ls

