# Headers and messages of mkswap.
new() { zeros f "$1" "$2"; }
new 1024; r mkswap -U $U f; sum f
r mkswap -U $U f; r mkswap -q -U $U f; r mkswap -f -U $U f; r mkswap -fq -U $U -L hello f; sum f
new 1024 644; r mkswap -U $U -L lab f; r mkswap -q -U $U f
new 1024; chown 5 f; r mkswap -U $U f
new 1024; chmod 4755 f; r mkswap -U $U f; chmod 1600 f; r mkswap -U $U f; chmod 400 f; r mkswap -U $U f
new 1024; r mkswap -L 0123456789abcdefX -U $U f; sum f; r mkswap -q -L 0123456789abcdefX -U $U f
new 1024; r mkswap -L '' -U $U f; r mkswap -L x -L y -U $U f
for kib in 0 4 36 40 41 10003 20000; do new $kib; r mkswap -U $U f; sum f; done
new 1024; r mkswap -U clear f; sum f
for uuid in bad '' RANDOM 1111111122223333444455555555555 11111111-2222-3333-4444-5555555555AF; do r mkswap -U "$uuid" f; done
new 1024; r mkswap -U random -q f; r mkswap -U time -q f; r mkswap f | sed 's/UUID=.*/UUID/'
for size in 4096 8192 65536 2048 131072 1000 1024 3 0 -1 x 4k '' 99999999999; do new 4096; r mkswap -p "$size" -U $U f; sum f; done
r mkswap -p 8192 -q -U $U f; r mkswap -p 4096 -U $U f; sum f; r mkswap -p 8192; r mkswap -p 8192 nofile
for version in 1 0 2 -1 x; do r mkswap -v $version -q -U $U f; done
new 1024; r mkswap -c -U $U f; sum f; r mkswap -c -q f; r mkswap -q --check -z f
for blocks in 512 2048 0 40 10 x 1M '' 0x400 ' 100' +100 99999999999999999999999; do new 1024; r mkswap -q -U $U f "$blocks"; sum f; done
new 1024; r mkswap -f -U $U f 2048; sum f; r mkswap f 1 2; r mkswap f x y z; r mkswap f -5
r mkswap; r mkswap nofile; r mkswap ''; mkdir d; r mkswap d; r mkswap /dev/null; ln -s nowhere dangling; r mkswap dangling
r mkswap -z f; r mkswap --lab; r mkswap --ver f; r mkswap --check=1 f; r mkswap -U; r mkswap --nope=1 f; r mkswap -U bad; r mkswap -v 0 -p 3
new 1024; for mode in nonblock yes no 1 0; do r mkswap --lock=$mode -U $U f; done; r mkswap --lock=foo f
flock f sleep 1 & sleep .3; r mkswap --lock=nonblock -U $U f; r mkswap --lock -U $U f; wait
truncate -s 1M h; chmod 600 h; r mkswap -U $U h; r mkswap -q -U $U h; rm h; truncate -s 1M h; chmod 600 h; r mkswap --verbose -U $U h
dd if=/dev/zero of=s bs=4k count=10 status=none; dd if=/dev/zero of=s bs=4k seek=20 count=10 conv=notrunc status=none
truncate -s 1M s; chmod 644 s; r mkswap --verbose -L 0123456789abcdefX -U $U s; fallocate -l 1M a; chmod 600 a; r mkswap --verbose -U $U a; sum a
ln -sf f l; new 1024; r mkswap -U $U l; r mkswap -U $U ./f; r mkswap -U $U "$D/f"; mv f 'a b'; r mkswap -U $U 'a b'; new 1024; r mkswap -U $U -- f; r mkswap -U $U f -q -L x
for fs in ext2 ext3 ext4; do zeros f 32768; mkfs.$fs -q -F f; r mkswap -U $U f; dd if=f bs=4k count=1 status=none | sha1sum; done
new 1024; poke f 510 '\125\252'; poke f 446 '\0\1\2\0\203\1\4\0\1\0\0\0\7\0\0\0'; cp f g; r mkswap -U $U f; sum f; r mkswap -f -U $U g; sum g
new 1024; poke f 0 'LUKS\272\276\0\1'; r mkswap -U $U f; sum f
new 1024; poke f 0 'hsqs'; r mkswap -U $U f; sum f
new 1024; $MK -q f; poke f 4086 'S1SUSPEND\0'; r mkswap -U $U f; sum f
new 1024; poke f 4086 'SWAP-SPACE'; r mkswap -U $U f; sum f
new 1024; head -c 8192 /dev/zero | tr '\0' X | dd of=f conv=notrunc status=none; r mkswap -U $U f; sum f
truncate -s 4M disk; loop=$(losetup -f --show disk); r mkswap -U $U $loop; r mkswap -c -U $U $loop; r mkswap --lock -U $U $loop; sum $loop
mkfs.ext4 -q $loop; mkdir m; mount $loop m; r mkswap -U $U $loop; r mkswap -f -U $U $loop; umount m
r mkswap -U $U $loop 1000; r mkswap -U $U $loop 8000; losetup -d $loop
export POSIXLY_CORRECT=1; r mkswap f -q; unset POSIXLY_CORRECT
mkswap f >/dev/full; echo $?
