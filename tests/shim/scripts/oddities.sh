#: octal_escapes
mk 'c d'; mk 'e\f'; mk 'i\x41'; mk 'j\'
printf '%s\n' '/w/c\040d none swap sw 0 0' '/w/e\134f none swap sw 0 0' \
    '/w/i\x41 none swap sw 0 0' '/w/j\ none swap sw 0 0' >/etc/fstab
t swapon -a
awk 'NR>1{print $1}' /proc/swaps

#: octal_escapes_in_every_field util-linux
mk a; mk b; mk c; mk d; mk eAe
printf '%s\n' '/w/e\101e none swap sw' '/w/a none sw\141p sw 0 0' '/w/b none swap pri=\065 0 0' '/w/c none swap noaut\157 0 0' \
    '/w/d none swap sw,pri=7\040 0 0' >/etc/fstab
t swapon -a
awk 'NR>1{print $1,($5 > 0 ? $5 : "auto")}' /proc/swaps

#: double_backslash
mk 'a\b'; mk 'a\\b'
printf '%s\n' '/w/a\\b none swap sw 0 0' >/etc/fstab
t swapon -a
awk 'NR>1{print $1}' /proc/swaps

#: carriage_returns
mk a; mk b; mk c; mk d; mk e
printf '/w/a none swap sw 0 0\r\n/w/b none swap sw 0\r\n/w/c none swap sw\r\n/w/d none swap\r\n\r\n/w/e none swap pri=5\r\n' >/etc/fstab
t swapon -a
awk 'NR>1{print $1,($5 > 0 ? $5 : "auto")}' /proc/swaps

#: carriage_returns_verbose util-linux
mk a; mk d
printf '/w/a none swap noauto\r\n\r\n# x\r\n/w/d none swap sw 0 0\r\n/w/d none swap sw 0 0 \r\n' >/etc/fstab
t swapon -av

#: no_newline_at_the_end
mk a; mk b
printf '/w/a none swap sw 0 0\n/w/b none swap sw 0 0' >/etc/fstab
t swapon -a
printf '/w/b none swap' >/etc/fstab
t swapon -a
printf '#' >/etc/fstab
t swapon -a

#: strange_blanks
mk a; mk b; mk c; mk d
printf ' \t/w/a \t none\t\tswap\tsw\t0\t0\t\n\t\n   \n/w/b none swap sw 0 0\013\n\013/w/c none swap sw 0 0\n/w/d\014none swap sw 0 0\n' >/etc/fstab
t swapon -a

#: comments_at_the_end
mk a; mk b; mk c; mk d
printf '%s\n' '/w/a none swap sw 0 0 # c' '/w/b none swap sw # c' '/w/c none swap # c' '  # x' '#/w/d none swap sw 0 0' >/etc/fstab
t swapon -a

#: numbers_that_are_none
mk a; mk b; mk c; mk d; mk e; mk f
printf '%s\n' '/w/a none swap sw x y' '/w/b none swap sw 0 y' '/w/c none swap sw 0x 0' '/w/d none swap sw -1 +2' \
    '/w/e none swap sw 99999999999 0' '/w/f none swap sw 0 0 0 0' >/etc/fstab
t swapon -a

#: fields_missing
mk a; mk b
printf '%s\n' '/w/a' '/w/a none' '/w/a none swap' 'none' '/w/b swap' >/etc/fstab
t swapon -a

#: priorities
for name in a b c d e f g h i j; do mk $name; done
printf '%s\n' '/w/a none swap pri=-1' '/w/b none swap pri=32767' '/w/c none swap pri=32768' '/w/d none swap pri=' \
    '/w/e none swap pri' '/w/f none swap pri=0x10' '/w/g none swap pri=+5' '/w/h none swap pri=5,pri=7' \
    '/w/i none swap pri=99999999999999999999' '/w/j none swap xpri=4,pri=6' >/etc/fstab
t swapon -a
awk 'NR>1{print $1,($5 >= 0 ? $5 : "auto")}' /proc/swaps

#: priorities_that_are_odd
for name in a b c d e f; do mk $name; done
printf '%s\n' '/w/a none swap pri=5x' '/w/b none swap pri=-7' '/w/c none swap sw,pri=03,x' '/w/d none swap PRI=4' \
    '/w/e none swap pri=4,noauto' '/w/f none swap pri =4' >/etc/fstab
t swapon -a
awk 'NR>1{print $1,($5 >= 0 ? $5 : "auto")}' /proc/swaps

#: discards
for name in a b c d e f; do mk $name; done
printf '%s\n' '/w/a none swap discard=foo' '/w/b none swap discard=' '/w/c none swap discard=once,discard=pages' \
    '/w/d none swap discard,discard=once' '/w/e none swap discardx' '/w/f none swap nodiscard,discard=pages,pri=3' >/etc/fstab
t swapon -a
awk 'NR>1{print $1,($5 >= 0 ? $5 : "auto")}' /proc/swaps

#: discard_when_all_are_active can-discard
mk a
echo '/w/a none swap sw' >/etc/fstab
t swapon -a
t swapon -a -d

#: noauto_in_other_words
for name in a b c d e; do mk $name; done
printf '%s\n' '/w/a none swap auto,noauto' '/w/b none swap noauto=1' '/w/c none swap noautox' '/w/d none swap NOAUTO' \
    '/w/e none swap nofail,noauto' >/etc/fstab
t swapon -a

#: nofail_in_other_words util-linux
mk a
printf '%s\n' '/w/n1 none swap nofail=1' '/w/n2 none swap xnofail' '/w/n3 none swap x-systemd.device-timeout=0,nofail' \
    '/w/a none swap sw,nofail,pri=5' '/w/n4 none swap nofailx' >/etc/fstab
t swapon -a
t swapon -av
t swapon -ae

#: nofail_in_other_words_busybox
mk a
printf '%s\n' '/w/a none swap sw,nofail,pri=5' '/w/n1 none swap nofail=1' '/w/n3 none swap x-systemd.device-timeout=0,nofail' >/etc/fstab
t swapon -a
t swapon -a

#: nofail_of_a_tag util-linux
mk a
printf '%s\n' 'LABEL=nope none swap nofail' '/w/a none swap sw' 'UUID=ffffffff-ffff-ffff-ffff-ffffffffffff none swap sw,nofail,pri=5' >/etc/fstab
t swapon -a
t swapon -av
swapoff a
t swapon -av

#: ifexists_of_a_tag util-linux
mk a
printf '%s\n' 'LABEL=nope none swap sw' '/w/a none swap sw' 'PARTUUID=ffffffff-01 none swap sw' 'PARTLABEL=nope none swap noauto' 'ID=nope none swap sw' >/etc/fstab
t swapon -ae
swapoff a
t swapon -aev
t swapon -a
swapoff a
t swapon -a

#: tags_nobody_has util-linux
mk a
printf '%s\n' 'LABEL=nope none swap sw' '/w/a none swap sw' 'UUID="01234567-89ab-cdef-0123-456789abcdef" none swap sw' 'LABEL="no none swap sw' "LABEL='x' none swap sw" \
    'LABEL= none swap sw' 'UUID none swap sw' 'label=x none swap sw' >/etc/fstab
t swapon -a
t swapon -av

#: tags_in_busybox
mk a
printf '%s\n' '/w/a none swap sw' 'LABEL=nope none swap sw' >/etc/fstab
t swapon -a
printf '%s\n' '/w/a none swap sw' 'UUID=01234567-89ab-cdef-0123-456789abcdef none swap sw,nofail' >/etc/fstab
t swapon -a
t swapon -a -e
swapoff a
t swapon -a

#: tags_of_partitions_in_busybox quiet
mk a
printf '%s\n' 'PARTUUID=ffffffff-01 none swap sw' '/w/a none swap sw' 'PARTLABEL=nope none swap sw' >/etc/fstab
t swapon -a

#: things_that_are_no_files
mk a; mkdir d
printf '%s\n' '/w/d none swap sw' '/w/a none swap sw' '/dev/null none swap sw' '/dev/nope none swap sw' >/etc/fstab
t swapon -a
cat /proc/swaps

#: things_that_are_no_files_with_nofail
mk a; mkdir d
printf '%s\n' '/w/d none swap sw,nofail' '/w/a none swap sw,nofail' '/dev/null none swap nofail' '/dev/nope none swap nofail' >/etc/fstab
t swapon -a

#: things_that_are_no_files_verbose util-linux
mk a; mkdir d; ln -s nowhere l; ln -s loop loop
printf '%s\n' '/w/d none swap sw' '/w/a none swap sw' '/w/l none swap nofail' '/w/loop none swap nofail' '/w/a/b none swap nofail' '/w/l none swap sw' >/etc/fstab
t swapon -av
t swapon -ave

#: mount_points
for name in a b c d e; do mk $name; done
printf '%s\n' '/w/a none swap sw' '/w/b swap swap sw' '/w/c / swap sw' '/w/d /mnt swap,ext4 sw' '/w/e - SWAP sw' >/etc/fstab
t swapon -a

#: types_that_are_not_swap
mk a; mk b
printf '%s\n' '/w/a none swapfs sw' '/w/b none auto sw' 'none swap tmpfs sw' '/w/b swap none sw' >/etc/fstab
t swapon -a

#: duplicates
mk a; mk b; ln -s a l
printf '%s\n' '/w/a none swap pri=5' '/w/b none swap pri=4' '/w/a none swap pri=3' '/w/l none swap pri=2' >/etc/fstab
t swapon -a
t swapon -a
awk 'NR>1{print $1,$5}' /proc/swaps

#: duplicates_verbose util-linux
mk a; mk b; ln -s a l
printf '%s\n' '/w/a none swap pri=5' '/w/b none swap nofail' '/w/a none swap pri=3' '/w/l none swap pri=2' >/etc/fstab
t swapon -av
swapoff a
t swapon -av -e

#: with_priority_by_option
mk a; mk b; mk c
printf '%s\n' '/w/a none swap pri=5' '/w/b none swap sw' '/w/c none swap pri=x' >/etc/fstab
t swapon -a -p 9
awk 'NR>1{print $1,$5}' /proc/swaps
t swapon -a -p 11
t swapoff -a

#: with_discard_by_option
mk a; mk b
printf '%s\n' '/w/a none swap pri=5' '/w/b none swap discard=pages' '/w/n none swap discard' >/etc/fstab
t swapon -a -donce
t swapon -a -dx
t swapon -a -p x
t swapon -a -p 99999

#: with_ifexists
mk a; mk b
printf '%s\n' '/w/a none swap sw' '/w/b none swap sw' >/etc/fstab
t swapon -a -e
t swapon -ae
t swapon -e -a

#: with_operands
mk a; mk b; mk c
printf '%s\n' '/w/a none swap pri=5' '/w/b none swap sw' >/etc/fstab
t swapon -a c
t swapon c -a
t swapon -a nope
swapoff a b c
t swapon -p 3 nope c -a
awk 'NR>1{print $1,($5 >= 0 ? $5 : "auto")}' /proc/swaps

#: missing_in_the_middle
mk a; mk c
printf '%s\n' '/w/a none swap sw' '/w/b none swap sw' '/w/c none swap sw' >/etc/fstab
t swapon -a
t swapon -a
cat /proc/swaps

#: not_swap_in_the_middle
mk a; mk c; space b; chmod 644 c
printf '%s\n' '/w/a none swap sw' '/w/b none swap nofail' '/w/c none swap sw' >/etc/fstab
t swapon -a
t swapon -a

#: relative_names
mk a; mk b
printf '%s\n' 'a none swap sw' './b none swap sw' >/etc/fstab
t swapon -a
t swapon -a
(cd /; t swapon -a)
swapoff a b
(cd /; t swapon -a)

#: names_like_options
mk ./-v; mk ./-a; mk a
printf '%s\n' '-v none swap sw' '/w/a none swap sw' '-a none swap pri=4' '-nope none swap sw' >/etc/fstab
t swapon -a
t swapoff -- -v -a

#: no_fstab
rm /etc/fstab
t swapon -a
t swapon -a -e
mkdir /etc/fstab
t swapon -a
rmdir /etc/fstab
ln -s /w/f /etc/fstab
t swapon -a
mk a
echo '/w/a none swap sw 0 0' >/w/f
t swapon -a
rm /etc/fstab

#: off_by_fstab
mk a; mk b; mk c
printf '%s\n' '/w/a none swap noauto' '/w/nope none swap sw' '/w/b none swap nofail,pri=4' 'garbage' >/etc/fstab
swapon a b c
t swapoff -a
cat /proc/swaps
t swapoff -a

#: append_only inode
mk s; chattr +a s
t swapon s
t mkswap s
chattr -a s
t swapon s
