#: tmpfs quiet inode
mkdir t; mount -t tmpfs t t
fallocate -l 16M t/s; chmod 600 t/s
t mkswap t/s
t swapon t/s
t swapoff t/s

#: tmpfs_over_a_file_of_that_name quiet inode
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
t swapon r/s
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


#: bind_and_fstab util-linux
mkdir a b; mk a/s
mount --bind a b
echo '/w/b/s none swap pri=3 0 0' >/etc/fstab
t swapon -av
t swapon -av
t swapoff b/s
t swapon -a
t swapoff a/s
t swapoff /w/a/s
t swapon -a
t swapoff -a

#: bind_and_fstab_elsewhere quiet
mkdir a b; mk a/s
mount --bind a b
echo '/w/b/s none swap sw 0 0' >/etc/fstab
t swapon -a
swapon -a
cd b
t swapoff s

#: bind_of_a_bind
mkdir -p a/i b c; mk a/i/s
mount --bind a b; mount --bind b/i c
t swapon c/s
t swapoff b/i/s
t swapon b/i/s
t swapoff a/i/s
umount c b
t swapon a/i/s

#: bind_whose_directory_is_hidden
mkdir a b; mk a/s
mount --bind a b; mount -t tmpfs t a
t swapon b/s
t swapoff b/s
t swapon b/s
t swapoff b/s
t swapoff b/s

#: bind_over_a_file_of_that_name
mkdir a b; mk a/s; mk b/s
t swapon b/s
mount --bind a b
t swapon b/s
t swapoff b/s
t swapoff b/s
umount b
t swapoff b/s

#: own_namespace strict
mk s
unshare -m /sbin/swapon s; echo $?
awk 'NR>1{print $1}' /proc/swaps
t swapoff s
unshare -m sh -c '/sbin/swapon /w/s; echo $?; /sbin/swapon s; echo $?; /sbin/swapoff s; echo $?'
unshare -m sh -c 'cd /; /sbin/swapon w/s; echo $?; exec /sbin/swapoff -a'; echo $?

#: own_namespace_without_devices gap
mk s
unshare -m sh -c 'mount -t tmpfs t /dev; /sbin/swapon s; echo $?' 2>/dev/null
awk 'NR>1{print $1}' /proc/swaps
unshare -m sh -c 'mount -t tmpfs t /dev; /sbin/swapoff s; echo $?' 2>/dev/null
t swapon s

#: own_namespace_without_sys gap
mk s
unshare -m sh -c 'umount -l /sys; mount -t tmpfs t /dev; /sbin/swapon s; echo $?' 2>/dev/null
awk 'NR>1{print $1}' /proc/swaps
unshare -m sh -c 'umount -l /sys; mount -t tmpfs t /dev; /sbin/swapoff s; echo $?' 2>/dev/null
t swapon s

#: the_root_unmounted_by_its_device util-linux
D=$(sed -n 's, / .*,,p' /proc/mounts | tail -n 1)
mk s
umount "$D" 2>&1 | sed "s,$D,DEVICE,g"
touch x 2>/dev/null; echo $?
mount --options-mode ignore -o remount,rw none /; echo $?
t swapon s
t swapoff s
ls

#: own_namespace_with_home_covered
mk s
unshare -m sh -c 'mount -t tmpfs t /.rootfs-shim; /sbin/swapon s; echo $?' 2>/dev/null
awk 'NR>1{print $1}' /proc/swaps
unshare -m sh -c 'mount -t tmpfs t /.rootfs-shim; /sbin/swapoff s; echo $?' 2>/dev/null
t swapon s

#: own_namespace_with_a_file_of_that_name strict inode
mkdir t; mk t/s; mk o 2
unshare -m sh -c 'mount -t tmpfs t t; cp o t/s; chmod 600 t/s; /sbin/swapon t/s' 2>/dev/null; echo $?
unshare -m sh -c 'mount --bind o t/s; /sbin/swapon t/s; echo $?'
t swapon o
t swapon t/s
t swapoff o

#: chroot_into_the_whole_root
mk s; mkdir r
unshare -m sh -c 'mount --rbind / r; chroot r /sbin/swapon /w/s; echo $?'
awk 'NR>1{print $1}' /proc/swaps
unshare -m sh -c 'mount --rbind / r; chroot r /sbin/swapoff /w/s; echo $?'
t swapon s

#: chroot_without_devices gap
mk s; mkdir r
enter='mount --rbind / r; umount -l r/dev 2>/dev/null'
unshare -m sh -c "$enter; chroot r /sbin/swapon /w/s; echo \$?"
awk 'NR>1{print $1}' /proc/swaps
unshare -m sh -c "$enter; chroot r /sbin/swapoff /w/s; echo \$?"
t swapon s

#: hard_link_in_another_directory quiet inode
mkdir d; mk d/s; ln d/s l
t swapon l
t swapon d/s
t swapoff d/s
t swapon d/s
t rm d/s
t swapoff l

#: directory_made_again_under_another_mount
mkdir d; mk d/s; mount -t tmpfs t d; umount d; rm -r d; mkdir d; mk d/s
t swapon d/s

#: mkswap_of_an_active_file_in_a_chroot quiet
mk s; swapon s; mkdir r
unshare -m sh -c 'mount --rbind / r; chroot r /sbin/mkswap /w/s; echo $?' 2>&1 | tail -n 1
t swapoff s
