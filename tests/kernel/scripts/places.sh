#: tmpfs quiet
mkdir t; mount -t tmpfs t t
fallocate -l 16M t/s; chmod 600 t/s
t mkswap t/s
t swapon t/s
t swapoff t/s

#: tmpfs_over_a_file_of_that_name quiet
mkdir t; mk t/s
mount -t tmpfs t t
fallocate -l 16M t/s; chmod 600 t/s; mkswap t/s >/dev/null
t swapon t/s
cat /proc/swaps
umount t
t swapon t/s
t swapoff t/s

#: bind_of_a_directory
mkdir a b; mk a/s; mk b/s
mount --bind a b
t swapon a/s
t swapoff b/s
t mkswap b/s
t swapon b/s
t swapoff a/s
umount b
t swapon b/s

#: bind_of_a_file
mk a; mk b
mount --bind a b
t swapon b
t swapoff a
umount b
t swapon b
t swapoff b

#: read_only_bind quiet
mkdir a r; mk a/s
mount --bind a r; mount -o remount,bind,ro r
t mkswap r/s
t swapon a/s
t swapoff a/s

#: proc_fd
mk s
exec 5<>s
t swapon /proc/self/fd/5
t swapoff s
exec 5>&-

#: fifo_and_devices
mkfifo f
mknod n c 1 3
mknod b b 259 999
t swapon n
t swapon b
t swapoff f
t mkswap n
t mkswap b

#: symlink_chain
mk s
ln -s s l1; ln -s l1 l2; ln -s /w/l2 l3; ln -s l4 l5; ln -s l5 l4
t swapon l3
t swapoff l2
t swapon l4
t swapoff l4
t mkswap l4
t mkswap l3

#: unreadable_directory
mkdir d; mk d/s; chmod 000 d d/s
t swapon d/s
t swapoff d/s

#: deep
D=/w
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do D=$D/0123456789012345678901234567890123456789; mkdir $D; done
mk $D/s
t swapon $D/s
wc -l </proc/swaps
t swapoff $D/s
cd $D
t swapon s
t swapoff ../0123456789012345678901234567890123456789/s

#: made_again_after_rm
echo old >s; rm s; mk s
t swapon s
t swapoff s
rm s; mkdir s; rmdir s; mk s
t swapon s

#: renamed_directory
mkdir d; mk d/s; mv d e
t swapon e/s
t mv e f
t swapoff f/s
ls

#: deleted_working_directory quiet
mkdir d; mk s; cd d; rmdir /w/d
t swapon ../s
t swapon /w/s
t swapoff /w/s

#: immutable quiet
mk s; chattr +i s
t mkswap s
t swapon s
swapoff s 2>/dev/null
chattr -i s

