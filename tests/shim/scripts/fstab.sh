#: fstab_empty util-linux
t swapon -a
t swapon -av
t swapon -a -e

#: fstab_one
mk /data/s
echo '/data/s none swap sw 0 0' >/etc/fstab
t swapon -a
t swapon -a
cat /proc/swaps

#: fstab_verbose util-linux
mk s
echo '/w/s none swap sw 0 0' >/etc/fstab
t swapon -av
t swapon -av
t swapon --all --verbose

#: fstab_options util-linux
mk a; mk b; mk c; mk d; mk e
cat >/etc/fstab <<X
/w/a none swap sw,pri=5 0 0
/w/b none swap defaults,pri=6,discard 0 0
/w/c none swap noauto,pri=7 0 0
/w/d none swap nofail,discard=once 0 0
/w/e none swap sw,discard=pages,pri=8 0 0
X
t swapon -a
swapon --show=NAME,PRIO
t swapon -av

#: fstab_options_busybox
mk a; mk b; mk c
cat >/etc/fstab <<X
# a comment
/w/a none swap sw,pri=5 0 0
/w/b	none	swap	defaults	0	0

/w/c none swap noauto,pri=7 0 0
X
t swapon -a
awk 'NR>1{print $1,($5 > 0 ? $5 : "auto")}' /proc/swaps

#: fstab_words_busybox
mk a; space b
printf '/w/a none swap nofail 0 0\n/w/nope none swap nofail 0 0\n/w/b none swap sw 0 0\n/w/gone none swap sw 0 0\n' >/etc/fstab
t swapon -a 2>/dev/null
t swapon -a -e 2>/dev/null
t swapon -a 2>/dev/null
awk 'NR>1{print $1}' /proc/swaps

#: fstab_links_busybox
mk a; ln -s a l; mk b
printf '/w/l none swap sw 0 0\n/w/c none swap noauto 0 0\n' >/etc/fstab
t swapon -a
t swapon -a
printf '/w/b none swap sw 0 0\n' >>/etc/fstab
t swapon -a
t swapon -a b
awk 'NR>1{print $1}' /proc/swaps
t swapoff -a
cat /proc/swaps

#: fstab_bad_among_good quiet
mk a; mk c; space b
cat >/etc/fstab <<X
/w/a none swap sw 0 0
/w/b none swap sw 0 0
/w/nope none swap sw 0 0
/w/c none swap sw 0 0
X
t swapon -a

#: fstab_bad_among_good_words util-linux
mk a; mk c; space b
cat >/etc/fstab <<X
/w/a none swap sw 0 0
/w/b none swap sw 0 0
/w/nope none swap sw 0 0
/w/c none swap sw 0 0
X
t swapon -av
t swapon -a

#: fstab_nofail util-linux
mk a
cat >/etc/fstab <<X
/w/nope none swap sw,nofail 0 0
/w/a none swap sw 0 0
/w/gone none swap nofail 0 0
X
t swapon -a
t swapon -av

#: fstab_ifexists util-linux
mk a
cat >/etc/fstab <<X
/w/nope none swap sw 0 0
/w/a none swap sw 0 0
X
t swapon -a -e
t swapon -aev
t swapon --all --ifexists

#: fstab_odd_names util-linux
mk 'a b'; mk 'c#d'; mk "$(printf 'e\tf')"; mk 'g\h'
cat >/etc/fstab <<'X'
/w/a\040b none swap sw 0 0
/w/c#d none swap sw 0 0
/w/e\011f none swap sw 0 0
/w/g\134h none swap sw 0 0
X
t swapon -av
t swapon -av
cat /proc/swaps | awk 'NR>1{print $1}'

#: fstab_tags util-linux quiet
space a; mkswap -L swaplabel a >/dev/null
space b; mkswap -U 01234567-89ab-cdef-0123-456789abcdef b >/dev/null
cat >/etc/fstab <<X
LABEL=nope none swap sw 0 0
UUID=ffffffff-ffff-ffff-ffff-ffffffffffff none swap sw,nofail 0 0
/w/a none swap sw 0 0
X
t swapon -a

#: fstab_comments_and_others util-linux
mk s
cat >/etc/fstab <<X
# /w/nope none swap sw 0 0

/dev/root / ext4 errors=remount-ro 0 1
proc /proc proc defaults 0 0
  /w/s	swap	swap	sw	0	0  
/w/t none swapp sw 0 0
X
t swapon -av

#: fstab_short_lines util-linux
mk a; mk b; mk c
printf '/w/a none swap\n/w/b none swap sw\n/w/c none swap sw 0\n/w/d none\n/w/e' >/etc/fstab
t swapon -av

#: fstab_relative_and_links util-linux
mk s; ln -s s l
printf '/w/l none swap sw 0 0\n' >/etc/fstab
t swapon -av
t swapon -av
swapoff s
printf 's none swap sw 0 0\n' >/etc/fstab
t swapon -av

#: fstab_twice_the_same util-linux
mk s
printf '/w/s none swap sw 0 0\n/w/s none swap sw 0 0\n/w/../w/s none swap sw 0 0\n' >/etc/fstab
t swapon -av
t swapon -av

#: fstab_with_command_line_options util-linux
mk a; mk b
printf '/w/a none swap sw,pri=5 0 0\n/w/b none swap sw 0 0\n' >/etc/fstab
t swapon -a -p 9
swapon --show=NAME,PRIO
swapoff a b
t swapon -a -d
swapon --show=NAME,PRIO

#: fstab_and_operands util-linux
mk a; mk b
printf '/w/a none swap sw,pri=5 0 0\n' >/etc/fstab
t swapon -a b
swapon --show=NAME
swapoff a b
t swapon -v b -a

#: fstab_missing_or_broken util-linux
rm /etc/fstab
t swapon -a
t swapon -av
printf 'garbage\n' >/etc/fstab
t swapon -a
printf '\000\001\377\n' >/etc/fstab
t swapon -a
rm /etc/fstab; mkdir /etc/fstab
t swapon -a
rmdir /etc/fstab

#: fstab_elsewhere util-linux
mk s
echo '/w/s none swap sw,pri=4 0 0' >other
export LIBMOUNT_FSTAB=/w/other
t swapon -av
swapon --show=NAME,PRIO
unset LIBMOUNT_FSTAB

#: fstab_elsewhere_by_option util-linux real
mk s
echo '/w/s none swap sw,pri=4 0 0' >other
t swapon --fstab other -a
t swapon --fstab=other -a -v
t swapon -T other -a
cat /proc/swaps

#: fstab_mixed util-linux
mk a; mk b; mk c; mk e; ln -s b l
swapon a; swapon b
cat >/etc/fstab <<X
/w/a none swap sw 0 0
/w/../w/l none swap sw 0 0
/w/c none swap noauto 0 0
/w/d none swap nofail 0 0
garbage
/w/e none swap sw,pri=3x,discard=some 0 0
X
t swapon -av
awk 'NR>1{print $1,($5 > 0 ? $5 : "auto")}' /proc/swaps

#: fstab_with_exclusive_options util-linux
mk a
echo '/w/a none swap sw 0 0' >/etc/fstab
t swapon -a -o pri=3
t swapon -a --raw
t swapon --noheadings -o pri=3 a
t swapon -a -e -x
cat /proc/swaps

#: fstab_bad_options util-linux
mk a; mk b
printf '/w/a none swap pri=x 0 0\n/w/b none swap discard=nope,pri=99999 0 0\n' >/etc/fstab
t swapon -av
awk 'NR>1{print $1,$5}' /proc/swaps

#: fstab_active_under_another_priority util-linux
mk s
printf '/w/s none swap pri=5 0 0\n' >/etc/fstab
swapon -p 9 s
t swapon -av
swapon --show=NAME,PRIO

#: fstab_set_e_boot
set -e
[ -f /data/swap ] || { mk /data/swap; }
grep -q swap /etc/fstab || echo '/data/swap none swap sw 0 0' >>/etc/fstab
swapon -a
swapon -a
grep -c /data/swap /proc/swaps

#: fstab_inactive_after_swapoff
mk s
echo '/w/s none swap sw 0 0' >/etc/fstab
swapon -a
t swapoff s
t swapon -a
t swapoff s

#: fstab_zero_priority_and_loop_device
mk a
space b
D=$(losetup -f); losetup $D b; mkswap $D >/dev/null
printf "/w/a none swap pri=0 0 0\n$D none swap pri=1 0 0\n" >/etc/fstab
t swapon -a
awk 'NR>1{print $2,$3,$5}' /proc/swaps
t swapoff $D
t swapoff a
losetup -d $D
: >/etc/fstab


#: fstab_is_a_directory util-linux
mk a; mk b; mk c; mkdir tabs tabs/d.fstab; mkfifo tabs/f.fstab; ln -s nope tabs/x.fstab
echo '/w/a none swap pri=1' >tabs/10.fstab
echo '/w/b none swap pri=2' >tabs/2.fstab
printf 'garbage\n/w/c none swap pri=3' >elsewhere; ln -s ../elsewhere tabs/3.fstab
for name in .hidden.fstab .fstab readme fstab; do echo '/w/nope none swap sw' >tabs/$name; done
export LIBMOUNT_FSTAB=/w/tabs
t swapon -av
awk 'NR>1{print $1,$5}' /proc/swaps
t swapon -av
t swapoff -av
rm -r tabs; mkdir tabs
t swapon -av
export LIBMOUNT_FSTAB=tabs
echo '/w/a none swap pri=4' >tabs/a.fstab
t swapon -a
swapon --show=NAME,PRIO
rm -r tabs

#: fstab_is_neither_file_nor_directory util-linux strict
mk s
echo '/w/s none swap sw' >other; mkfifo fifo
export LIBMOUNT_FSTAB=/dev/null
t swapon -a
export LIBMOUNT_FSTAB=/dev/stdin
t swapon -a <other
cat other | t swapon -a
export LIBMOUNT_FSTAB=fifo
t timeout 5 swapon -a
t timeout 5 swapon LABEL=nope
rm fifo
cat /proc/swaps

#: fstab_elsewhere_is_for_libmount
mk a; mk b
echo '/w/a none swap sw' >/etc/fstab; echo '/w/b none swap sw' >other
export LIBMOUNT_FSTAB=/w/other
t swapon -a
awk 'NR>1{print $1}' /proc/swaps
t swapon -a
t swapoff -a
cat /proc/swaps

#: fstab_by_option_is_a_directory util-linux real
mk a; mk b; mkdir tabs
echo '/w/a none swap pri=1' >tabs/10.fstab
echo '/w/b none swap pri=2' >tabs/2.fstab
t swapon --fstab tabs -av
t swapon -T/w/tabs -av
t swapon -T /w/nope -a
t swapon -T /w/nope a
awk 'NR>1{print $1,$5}' /proc/swaps
rm -r tabs

#: fstab_odd_priorities
for name in a b c d e f g h; do mk $name; done
cat >/etc/fstab <<X
/w/a none swap pri=5x 0 0
/w/b none swap pri=-3 0 0
/w/c none swap pri=99999,discard=nope 0 0
/w/d none swap pri= 0 0
/w/e none swap sw,pri,pri=4 0 0
/w/f none swap xpri=6,pri=+7 0 0
/w/g none swap discard=pages,pri=0x10 0 0
/w/h none swap pri=4294967301 0 0
X
t swapon -a 2>/dev/null
awk 'NR>1{print $1,($5 >= 0 ? $5 : "auto")}' /proc/swaps
t swapoff -a 2>/dev/null
t swapon -a -p 9 2>/dev/null
awk 'NR>1{print $1,($5 >= 0 ? $5 : "auto")}' /proc/swaps
