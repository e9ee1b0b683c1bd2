#: closed_stdin
mk s
swapon s <&-
echo $?
swapoff s <&-
echo $?

#: closed_stdout
mk s
swapon s >&-
echo $?
swapoff s >&-
echo $?

#: closed_stdout_of_mkswap util-linux
mk s
mkswap s >&-
echo $?

#: closed_stderr strict inode
mk s
chmod 644 s
swapon s 2>&-
echo $?
swapoff nope 2>&-
echo $?

#: closed_stdout_with_output util-linux
mk s
swapon --show >&-
echo $?
swapon -v s >&-
echo $?

#: closed_all
mk s
swapon s <&- >&- 2>&-
echo $?

#: stdout_full util-linux
mk s
swapon s
swapon --show >/dev/full
echo $?
swapoff -v s >/dev/full
echo $?

#: not_root util-linux
mk /s
setpriv --reuid 65534 --regid 65534 --clear-groups swapoff /s
echo $?
setpriv --reuid 65534 --regid 65534 --clear-groups mkswap /s
echo $?
setpriv --reuid 65534 --regid 65534 --clear-groups swapon --show
echo $?

#: not_root_enabling util-linux
mk /s
setpriv --reuid 65534 --regid 65534 --clear-groups swapon /s
echo $?

#: no_sys_admin util-linux
mk s
setpriv --bounding-set -sys_admin swapoff s
echo $?
setpriv --bounding-set -sys_admin mkswap s
echo $?
setpriv --bounding-set -sys_admin swapon --show
echo $?

#: user_namespace util-linux
unshare -Ur swapon --show
echo $?
mk s
unshare -Ur swapoff s
echo $?

#: closed_all_listing util-linux strict
mk s
t swapon --show <&- 2>&-
t mkswap s <&- >&- 2>&-
t swapon -v s <&- 2>&-
t swapoff -v s <&- 2>&-
swapon nope <&- >&- 2>&-; echo $?
swapoff nope <&- >&- 2>&-; echo $?

#: stdout_full_everywhere util-linux strict
mk s
mkswap s >/dev/full; echo $?
swapon -v s >/dev/full; echo $?
swapon -s >/dev/full; echo $?
swapon --version >/dev/full; echo $?

#: stderr_full util-linux strict
mk s; chmod 644 s
swapon s 2>/dev/full; echo $?
swapoff nope 2>/dev/full; echo $?
swapon nope 2>/dev/full; echo $?

#: hostile_variables util-linux quiet
mk s
LD_PRELOAD=/nope.so LD_LIBRARY_PATH=/nope t swapon s
LIBMOUNT_DEBUG=0 LIBBLKID_DEBUG=0 RUST_BACKTRACE=full RUST_LOG=trace t swapoff s
env -i /sbin/swapon s; echo $?
env -i PATH=/nope /sbin/swapoff s; echo $?

#: no_environment
mk s
env -i /sbin/swapon s; echo $?
env -i /sbin/swapoff s; echo $?
env -i /sbin/mkswap s; echo $?

#: under_another_session util-linux
mk s
setsid -w swapon s; echo $?
nohup swapoff s </dev/null 2>/dev/null; echo $?
timeout 20 swapon s; echo $?
nice swapoff s; echo $?
flock /w swapon s; echo $?
sh -c 'exec swapoff s'; echo $?
echo s | xargs swapon; echo $?
find . -name s -exec swapoff {} ';'; echo $?

#: in_the_background
mk a; mk b
swapon a & swapon b & wait
wc -l </proc/swaps
swapoff a & swapoff b & wait
wc -l </proc/swaps

#: in_subshells_and_pipes
mk s
( cd /; swapon w/s ); echo $?
echo x | swapoff s | cat; echo $?
if swapon s; then echo on; else echo off; fi
if ! swapoff s; then echo bad; fi
swapon s && swapoff s && echo both
X=$(swapon s 2>&1); echo "[$X] $?"
X=$(swapoff s 2>&1); echo "[$X] $?"

#: umask_and_limits gap
mk s
umask 777; swapon s; echo $?
umask 0; swapoff s; echo $?
(ulimit -n 12; swapon s); echo $?
(ulimit -c 0; swapoff s); echo $?

#: ignored_signals
mk s
(trap '' CHLD HUP INT TERM PIPE; exec /sbin/swapon s); echo $?
(trap '' CHLD; exec /sbin/swapoff s); echo $?

#: stdout_nobody_reads util-linux
mk s
swapon -v s | true
sleep 0.3
wc -l </proc/swaps
swapon --show | true
swapoff -v s | true
sleep 0.3
wc -l </proc/swaps

#: xtrace_and_stderr_together
mk s; chmod 644 s
swapon s >all 2>&1; echo $?
swapoff s >>all 2>&1; echo $?
swapoff s >>all 2>&1; echo $?
mkswap nope >>all 2>&1; echo $?
sed 's/UUID=.*/UUID/' all; rm all

#: own_mount_namespace util-linux
mk s
unshare -m swapon s; echo $?
unshare -m swapoff s; echo $?
unshare -m sh -c 'swapon /w/s; swapoff /w/s'; echo $?

#: strict_limits quiet inode
mk s
(ulimit -f 0; swapon s); echo $?
swapoff s
(ulimit -n 12; swapon s); echo $?

#: lists_without_proc util-linux
mk s; swapon s
unshare --mount sh -c 'umount -l /proc; for how in --show -s ""; do swapon $how; echo $?; done'
swapoff s

#: stdout_and_stderr_in_one_file util-linux
mk a; mk b; space n; mk m; chmod 644 m
for i in 1 2 3 4 5; do
    swapon -v a b n nope m >all 2>&1; cat all
    swapon -v a 2>&1 | head -n 1
    swapon -v b >all 2>&1; cat all
    swapon -v a b 2>&1 | cat
    swapoff -v a b n nope m >all 2>&1; cat all
done
printf '%s\n' '/w/a none swap pri=4' '/w/b none swap noauto' '/w/nope none swap sw' '/w/m none swap sw' >/etc/fstab
swapon -av >all 2>&1; cat all
swapon -av >all 2>&1; cat all
swapoff -av >all 2>&1; cat all
rm all

#: stdout_of_many_in_one_file util-linux
for i in 1 2 3 4 5 6; do mk $i 1; done
swapon -v 1 2 nope 3 4 5 6 1 >all 2>&1; cat all
swapon -v nope 1 /dev/null 2 2>&1 | cat
rm all

#: insecure_mode_of_an_active_one util-linux gap
mk m; chmod 644 m
t swapon m
t swapon m
