# swapon -a and swapoff -a against many an fstab.
for name in a b c e 'd d'; do area "$name" -L "l $name"; done
tab() { printf "$1" >fstab; echo "=== $1"; mount --bind fstab /etc/fstab; }
all() { tab "$1"; r swapon -a; swaps; r swapon -av; r swapon -a -e; r swapon -aev; swaps; r swapoff -av; swaps; r swapoff -a; umount /etc/fstab; }
all "$D/a none swap sw 0 0\n"
all "# c\n\n  $D/a\tnone\tswap\tpri=5\t0\t0\n$D/b none swap defaults,pri=7,nofail\n$D/nofile none swap sw 0 0\n$D/nofile2 none swap sw,nofail 0 0\n$D/e none swap noauto,pri=9 0 0\n/dev/nope / ext4 defaults 0 1\n"
all "$D/d\\\\040d none swap sw 0 0\n$D/c swap swap discard=once,pri=3 0 0\n"
all "LABEL=nobody none swap sw 0 0\nUUID=$D none swap nofail 0 0\n$D/a none swap discard,pri=foo 0 0\n"
all "$D/nofile none swap sw 0 0\n$D/a none swap\n$D/b none\n$D/c\n$D/d none swap sw 0 0 junk\n\"$D/e\" none swap sw 0 0\n$D/e none swap sw x 0\n"
all "$D/nofile none swap sw 0 0\n$D/nofile2 none swap sw 0 0\n"
all "none none swap sw 0 0\n$D/a none swap sw,discard=pages,pri=99999 0 0\n$D/a none swap sw 0 0\n$D/./b none swap sw 0 0\n$D//b none swap sw 0 0\n"
all "$D/a none swap,foo sw\n$D/b none SWAP sw\n$D/c none auto sw\n"
all ''
tab "$D/a none swap pri=4 0 0\n$D/b none swap sw 0 0\n$D/e none swap noauto 0 0\n"
r swapon -a -p 9; swaps; r swapoff -a; r swapon -a -d; swaps; r swapoff -a; r swapon -a "$D/c"; r swapon -a nofile; r swapoff -a nofile
r swapon -ae nofile "$D/a"; r swapoff -a; r swapon -a --fixpgsz; r swapoff -a c; r swapon c; r swapoff -a c; r swapoff -a; umount /etc/fstab
tab "$D/a none swap sw 0 0\n$D/b none swap sw 0 0\n"
chmod 644 a; r swapon -a; r swapoff -a; chmod 600 a; : >b; r swapon -av; rm b; r swapon -av; r swapon -ave; r swapoff -av; r swapoff -av; truncate -s 1M b; chmod 600 b; r swapon -av; r swapoff -av; umount /etc/fstab
mkdir sub; area b; area sub/x; tab "$D/a none swap sw 0 0\n"; swapon a sub/x b; mount -t tmpfs tmpfs sub; swaps
r swapoff -av; r swapoff -av; r swapoff "$D/sub/x"; r swapon "$D/sub/x"; r swapoff -a nofile; umount sub; r swapoff -av; swaps; umount /etc/fstab
