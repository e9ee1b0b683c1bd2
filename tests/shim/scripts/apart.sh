#: labels_uuids_and_files_in_their_order util-linux
rm -rf /run/blkid; mkdir -p /run/blkid
space /w/a; mkswap -L la /w/a >/dev/null; space /w/b; mkswap -U 01234567-89ab-cdef-0123-456789abcdef /w/b >/dev/null; mk /w/c
blkid -s LABEL -o value /w/a; blkid -s UUID -o value /w/b
t swapon -v c -U 01234567-89ab-cdef-0123-456789abcdef -L la -L nope -U ffffffff-ffff-ffff-ffff-ffffffffffff nope
cat /proc/swaps
t swapon -v -L la c UUID=01234567-89ab-cdef-0123-456789abcdef
t swapoff -v -L la c UUID=01234567-89ab-cdef-0123-456789abcdef -L nope

#: quoted_tags util-linux
rm -rf /run/blkid; mkdir -p /run/blkid
space /w/a; mkswap -L 'l a' /w/a >/dev/null; space /w/b; mkswap -L "q'b" /w/b >/dev/null
blkid -s LABEL -o value /w/a; blkid -s LABEL -o value /w/b
t swapon 'LABEL="l a"'
t swapon "LABEL='q'b'"
t swapoff "LABEL=q'b"
t swapon "LABEL=\"q'b\"x"
t swapon -L '"l a"'
t swapon "LABEL='nope"
t swapoff -a
printf '%s\n' 'LABEL="l\040a" none swap sw' "LABEL='q'b' none swap pri=3" >/etc/fstab
t swapon -av

#: all_and_tags util-linux
rm -rf /run/blkid; mkdir -p /run/blkid
space /w/a; mkswap -L la /w/a >/dev/null; mk /w/b; mk /w/c
blkid -s LABEL -o value /w/a
printf '%s\n' '/w/b none swap pri=4' 'LABEL=la none swap noauto' >/etc/fstab
t swapon -av -L la -L nope c
t swapon -av -e LABEL=la -p 3 nope
t swapon -ave

#: options_for_operands util-linux
mk a; mk b; mk c
t swapon -o pri=5,nofail a nope
t swapon --options=pri=6,discard=pages b
t swapon -p 4 -o sw,defaults c
swapon --show=NAME,PRIO
t swapoff a b c
t swapon -o pri=99999999999999999999,noauto a
t swapon -o pri=4294967301 b
t swapon -o pri=7,pri=8 -p 3 c
swapon --show=NAME,PRIO

#: verbose_and_quiet util-linux
mk a; mk b; space n
t swapon -v a n b nope
t swapon -vv a
t swapoff -v a n b nope

#: same_file_twice util-linux
mk a; ln -s a l; ln a h
t swapon a a
t swapon a l h
t swapoff a a
t swapon l h
t swapoff h l

#: same_file_twice_in_busybox
mk a; ln -s a l
t swapon a 2>/dev/null
t swapon l 2>/dev/null
t swapoff l
t swapoff a 2>/dev/null

#: good_and_bad
mk a; mk b; space n
t swapon a nope n b 2>/dev/null
cat /proc/swaps
t swapoff nope a n b 2>/dev/null
cat /proc/swaps

#: off_all_and_operands
mk a; mk b; mk c
swapon a; swapon b; swapon c
t swapoff -a nope 2>/dev/null
cat /proc/swaps
printf '%s\n' '/w/a none swap noauto' '/w/b none swap sw' '/w/nope none swap sw' >/etc/fstab
swapon a; swapon c
t swapoff b -a 2>/dev/null
cat /proc/swaps

#: off_all_by_tags_in_fstab util-linux
rm -rf /run/blkid; mkdir -p /run/blkid
space /w/a; mkswap -L la /w/a >/dev/null; mk /w/b
blkid -s LABEL -o value /w/a
printf '%s\n' 'LABEL=la none swap sw' 'LABEL=nope none swap sw' 'UUID="x none swap sw' '/w/b none swap sw' >/etc/fstab
t swapon -a
t swapoff -av
t swapoff -av

#: all_with_nothing_to_do
mk a
printf '%s\n' '/w/a none swap noauto' 'LABEL=x none swap noauto,nofail' >/etc/fstab
t swapon -a
t swapon -a -e
t swapoff -a

#: holes_and_modes_by_all util-linux quiet
truncate -s 4M a; mkswap a >/dev/null 2>&1; mk b; chmod 666 b; mk c; chown 1 c
printf '%s\n' '/w/b none swap sw' '/w/c none swap sw' >/etc/fstab
t swapon -a
t swapon -av

#: a_full_round_by_uuid util-linux
set -e
rm -rf /run/blkid; mkdir -p /run/blkid
space /data/swap
mkswap -U 01234567-89ab-cdef-0123-456789abcdef /data/swap >/dev/null
U=$(blkid -s UUID -o value /data/swap)
echo "UUID=$U none swap sw 0 0" >>/etc/fstab
swapon -a; swapon -a
swapon --show=NAME,UUID --noheadings
swapoff -a; swapon UUID=$U; swapoff UUID=$U; swapon -U $U; swapoff /data/swap
rm /data/swap
swapon -a || echo $?
sed -i s/sw/sw,nofail/2 /etc/fstab; cat /etc/fstab
swapon -a && echo quiet
