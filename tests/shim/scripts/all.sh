#: swapoff_all
mk a; mk b; swapon a; swapon b
t swapoff -a
cat /proc/swaps
t swapoff -a

#: swapoff_all_verbose util-linux
mk a; swapon a
t swapoff -av
t swapoff -av

#: swapoff_all_then_swapon_all
mk a; mk b
echo "/w/a none swap sw,pri=3 0 0
/w/b swap swap defaults 0 0" >/etc/fstab
t swapon -a
t swapoff -a
cat /proc/swaps
t swapon -a
swapoff -a && swapon -a && echo again

#: swapoff_all_with_operands
mk a; mk b; swapon a; swapon b
t swapoff -a a
cat /proc/swaps

#: swapoff_all_verbose_several util-linux
mk a; mk b; mk c; swapon a; swapon -p 5 b; swapon c
t swapoff -a -v
t swapoff --all --verbose

#: swapoff_all_with_fstab util-linux
mk a; mk b
echo "/w/a none swap sw 0 0
/w/b none swap noauto 0 0
/w/nope none swap sw 0 0" >/etc/fstab
swapon a
t swapoff -a
t swapoff -av

#: swapoff_all_odd_names
mk 'a b'; swapon 'a b'
mk "$(printf 'x\ty')"; swapon "$(printf 'x\ty')"
mk 'b\c'; swapon 'b\c'
t swapoff -a
cat /proc/swaps

#: swapoff_all_without_fstab util-linux
mk s; swapon s
rm /etc/fstab
t swapoff -a
t swapoff -a -v
cat /proc/swaps

#: kubernetes
mk s; swapon s
echo '/w/s none swap sw 0 0
/dev/sda1 / ext4 defaults 0 1' >/etc/fstab
swapoff -a && sed -i '/ swap / s/^\(.*\)$/#\1/g' /etc/fstab
cat /etc/fstab /proc/swaps
t swapon -a
cat /proc/swaps

#: docker_build_frees_space
set -eu
mk s
swapon s
swapoff -a || true
rm -f s /w/swapfile
ls

