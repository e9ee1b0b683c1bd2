#: mkswap_label util-linux
space s
mkswap -L swap -f s
blkid -o value -s LABEL s
swapon s
swapon --show=LABEL

#: mkswap_uuid_clear util-linux
space s
mkswap -U clear s
echo $?

#: mkswap_fixed_uuid util-linux
space s
mkswap -U 01234567-89ab-cdef-0123-456789abcdef s
sha256sum <s

#: mkswap_size
space s
mkswap s 1024
echo $?
swapon s
echo $?

#: mkswap_too_large
space s
mkswap s 999999
echo $?

#: mkswap_of_no_file
mkswap nope
echo $?
ls

#: mkswap_of_a_directory
mkdir d
mkswap d
echo $?

#: mkswap_check util-linux
space s
mkswap -c s
echo $?

#: mkswap_of_a_tiny_file
echo hi >s
mkswap s
echo $?

#: mkswap_of_a_hole util-linux
truncate -s 16M s
chmod 600 s
mkswap s
echo $?

#: mkswap_twice
mk s
mkswap s
echo $?

#: mkswap_insecure_mode
space s
chmod 644 s
mkswap s
echo $?

#: mkswap_many_options util-linux
space s
t mkswap --lock --verbose -q s
t mkswap --lock=no --verbose s
t mkswap --lock=nonblock s
t mkswap --lock=nope s
t mkswap -c --check s
t mkswap -p 4096 s
t mkswap --pagesize 4096 --force s
t mkswap -v1 s
t mkswap -v 1 s
t mkswap --swapversion=1 s
t mkswap -v0 s
t mkswap -vx s

#: mkswap_page_sizes util-linux
space s
t mkswap -p 8192 s
t mkswap -p 1000 s
t mkswap -p 0 s
t mkswap -p x s
t mkswap -p 65536 s
t swapon s

#: mkswap_uuids util-linux
space s
t mkswap -U random s
t mkswap -U time s
t mkswap -U clear s
t mkswap -U nope s
t mkswap --uuid=01234567-89ab-cdef-0123-456789abcdef -L lab s
blkid -p -o export s
t swapon s

#: mkswap_labels util-linux
space s
t mkswap -L 'a b' s
t mkswap --label=0123456789abcdefgh s
t mkswap -L '' s
t mkswap s -L after
t mkswap -qL clustered s
t mkswap --lab prefix s
t swapon s
swapon --show=LABEL,NAME

#: mkswap_sizes util-linux
space s
t mkswap s 1024
t mkswap s 39
t mkswap s 40
t mkswap s 0
t mkswap s -1
t mkswap s x
t mkswap s 4096
t mkswap s 4097
t mkswap -f s 4097

#: mkswap_label_busybox
space s
t mkswap -L lab s
t swapon s

#: mkswap_dashes
space ./-s
t mkswap -- -s
t swapon -- -s
t swapoff -- -s
rm -- -s
space s
t mkswap -- s 2048
t mkswap s -- 2048

#: mkswap_over_a_filesystem util-linux
space s
mkfs.ext2 -q -F s 2>/dev/null
mkswap s 2>&1 | grep wiping
mkfs.ext2 -q -F s 2>/dev/null
mkswap -f s 2>&1 | grep wiping
blkid -p -o value -s TYPE s
rm s

#: mkswap_keeps_the_boot_block util-linux
space s
printf 'boot code' | dd of=s conv=notrunc 2>/dev/null
t mkswap s
head -c 9 s
printf 'boot code' | dd of=s conv=notrunc 2>/dev/null
t mkswap -f s
head -c 9 s | od -c

#: mkswap_two_hard_links
space s
ln s l
t mkswap l
t swapon s
t swapoff l

#: mkswap_by_symlink
space s
ln -s s l
t mkswap l
t swapon l

#: mkswap_dangling_symlink
ln -s nope l
t mkswap l
t swapon l
ls

#: mkswap_read_only_file
space s
chmod 400 s
t mkswap s
t swapon s

#: mkswap_other_owner
space s
chown 65534:65534 s
t mkswap s


#: mkswap_makes_the_file util-linux real
t mkswap --file --size 4M new
t swapon new
t swapoff new
t mkswap -F -s 4M new
t mkswap -q -F -s 8M -U clear new
t mkswap --file new
t mkswap --file other
t mkswap --size 1M --file -L lab d/new
t mkswap --file --size 1 new
t mkswap --file --size 40k tiny
t mkswap -F -s 4M new 4096
stat -c '%N %F %a %h %s %b' *

#: mkswap_newer_options util-linux real
space s 16
t mkswap --offset 4096 -U clear s
t mkswap -o 1M -U clear s
t mkswap --size 4M s
t mkswap -s 4096 s
t mkswap -s 1G s
t mkswap --size=4M --offset=0 s
t mkswap -e little s
t mkswap --endianness=big s
t swapon s
t mkswap --endianness native s
t mkswap -e nope s
t mkswap -q s
t mkswap --quiet s
t mkswap --annotate s
t mkswap --annotate=never s
t mkswap --uuid clear --verbose s
t swapon s

#: mkswap_of_a_link_makes_no_file util-linux real
ln -s nope l; ln -s s k; space s; mkdir d
t mkswap -F -s 4M l
t mkswap -F -s 4M k
t mkswap -F -s 4M d
t mkswap -F -s 4M .
t mkswap -F -s 4M /dev/null
t mkswap -F -s 4M nope/new
stat -c '%N %F %a %s' *
