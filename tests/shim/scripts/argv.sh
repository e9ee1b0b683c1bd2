#: argv0_is_no_name_of_ours util-linux real
mk s
for name in -swapon SWAPON swapon.real foo '' /x/swapon/ "$(printf 'a\033[2Jb\n')"; do
    bash -c 'exec -a "$0" /sbin/swapon s' "$name"; echo "$?"
    bash -c 'exec -a "$0" /sbin/swapoff -v s' "$name"; echo "$?"
    bash -c 'exec -a "$0" /sbin/mkswap nope' "$name"; echo "$?"
done

#: argv0_is_another_tools_name util-linux real
mk s
bash -c 'exec -a mount /sbin/swapon s'; echo $?
bash -c 'exec -a busybox /sbin/swapoff s'; echo $?
bash -c 'exec -a foo /sbin/swapon --show'; echo $?
bash -c 'exec -a foo /sbin/swapon --version'; echo $?
bash -c 'exec -a foo /sbin/swapoff'; echo $?

#: argv0_through_links util-linux
mk s
ln -s /sbin/swapon on; ln -s on again; ln -s /sbin/swapoff off
./again s; echo $?
./off s; echo $?
(cd /sbin; ./swapon /w/s); echo $?
PATH=/w:$PATH off s; echo $?

#: argv0_of_a_copy util-linux real
mk s
cp /sbin/swapon swapon.distrib; cp /sbin/swapoff swapoff.usr-is-merged
./swapon.distrib s; echo $?
./swapoff.usr-is-merged s; echo $?
rm swapon.distrib swapoff.usr-is-merged

#: no_argv_at_all util-linux real
mk s
swapon s
python3 - <<'X'
import ctypes, os
libc = ctypes.CDLL(None)
for tool in [b"/sbin/swapon", b"/sbin/swapoff", b"/sbin/mkswap"]:
    pid = os.fork()
    if pid == 0:
        os.dup2(1, 2)
        libc.execve(tool, (ctypes.c_char_p * 1)(None), (ctypes.c_char_p * 1)(None))
        os._exit(99)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
X

#: argv0_in_busybox
mk s
for name in -swapon foo SWAPON; do
    sh -c 'exec -a "$0" /sbin/swapon s' "$name"; echo "$?"
    /sbin/swapoff s; echo $?
done 2>/dev/null
ln -s /sbin/swapon on
./on s 2>/dev/null; echo $?

#: prefixes_that_newer_options_make_ambiguous util-linux
mk s
t swapon --f s
t swapoff s
t swapon --fi --a s
space n
t mkswap --f n >/dev/null
t mkswap --v n >/dev/null
t mkswap --s 1 n >/dev/null

#: no_proc quiet
mk s; swapon s
umount -l /proc
t swapoff s
t swapoff nope
t swapoff -a
t swapon s
t mkswap nope
mount -t proc proc /proc
swapoff s 2>/dev/null

#: few_descriptors quiet
mk s
for n in 4 5 6 7; do
    (ulimit -S -n $n; exec /sbin/swapon s); echo "on $n $?"
    (ulimit -S -n $n; exec /sbin/swapoff s); echo "off $n $?"
    (ulimit -S -n $n; exec /sbin/mkswap s) >/dev/null; echo "mkswap $n $?"
done

#: few_descriptors_and_no_more quiet gap
mk s
(ulimit -n 12; exec /sbin/swapon s); echo "on $?"
(ulimit -n 12; exec /sbin/swapoff s); echo "off $?"
(ulimit -n 12; exec /sbin/mkswap s) >/dev/null; echo "mkswap $?"
(ulimit -n 12; ulimit -S -n 7; exec /sbin/swapon s); echo $?
swapoff s
