#: strange_quoted_options util-linux
mk a; mk b; mk c; mk d; mk e
printf '%s\n' '/w/a none swap sw,x="a,noauto",pri=4 0 0' '/w/b none swap pri="5" 0 0' '/w/c none swap x="a,pri=6" 0 0' '/w/d none swap discard="once",pri=3 0 0' '/w/e none swap x="a,nofail,pri=2 0 0' '"/w/f" none swap sw 0 0' '/w/gone none swap x="nofail,y" 0 0' >/etc/fstab
t swapon -a
t swapon -av
awk 'NR>1{print $1,($5 > 0 ? $5 : "auto")}' /proc/swaps

#: strange_quoted_options_b
mk a; mk b; mk c
printf '%s\n' '/w/a none swap sw,x="a,noauto",pri=4 0 0' '/w/b none swap pri="5" 0 0' '/w/c none swap x="a,pri=6" 0 0' >/etc/fstab
t swapon -a
awk 'NR>1{print $1,($5 > 0 ? $5 : "auto")}' /proc/swaps

#: strange_nul_in_fstab util-linux
mk a; mk b; mk c
printf '/w/a none swap sw 0 0\000junk\n/w/b none swap sw\000,noauto 0 0\n/w/c none swap sw 0 0\n' >/etc/fstab
t swapon -a

#: strange_bom_in_fstab
mk a; mk b
printf '\357\273\277/w/a none swap sw 0 0\n/w/b none swap sw 0 0\n' >/etc/fstab
t swapon -a

#: strange_long_lines util-linux
mk a; mk b; mk c
{ printf '#%9000s\n' x; printf '/w/a %9000s none swap sw 0 0\n' ' '; printf '/w/b none swap sw,x=%9000d 0 0\n' 1; echo '/w/c none swap sw 0 0'; } >/etc/fstab
t swapon -a

#: strange_many_lines
mk a
{ for i in $(seq 1500); do echo "/w/gone$i none swap noauto 0 0"; done; echo '/w/a none swap pri=3 0 0'; } >/etc/fstab
t swapon -a

#: strange_fstab_symlink
mk a
echo '/w/a none swap sw 0 0' >/w/tab
ln -sf /w/tab /etc/fstab; t swapon -a; rm /etc/fstab; : >/etc/fstab

#: strange_fstab_empty_variable util-linux
mk a; echo '/w/a none swap sw 0 0' >/etc/fstab
LIBMOUNT_FSTAB= t swapon -a
LIBMOUNT_FSTAB=tab t swapon -a
cp /etc/fstab tab; LIBMOUNT_FSTAB=tab t swapon -a

#: strange_fstab_option_twice util-linux real
mk a; mk b; echo '/w/a none swap sw 0 0' >/w/one; echo '/w/b none swap sw 0 0' >/w/two
t swapon -a --fstab /w/one --fstab /w/two
t swapon --fstab=/w/one

#: strange_stdin_path
mk a; t swapon /dev/stdin </w/a
t swapoff /dev/stdin </w/a

#: strange_dev_fd
mk a; exec 5<>/w/a; t swapon /dev/fd/5; t swapoff /proc/self/fd/5; exec 5<&-

#: strange_deleted_fd inode
mk a; exec 5<>/w/a; rm /w/a; t swapon /proc/self/fd/5; t swapoff /proc/self/fd/5; awk 'NR>1{print $1}' /proc/swaps; exec 5<&-

#: strange_cwd_and_root_links
mk a; t swapon /proc/self/cwd/a; t swapoff /proc/self/root/w/a; t swapon /proc/self/root/w/../w/a
t swapoff /proc/thread-self/cwd/a

#: strange_other_root
mk a; sleep 30 & p=$!; t swapon /proc/$p/root/w/a 2>/w/e; sed "s/$p/P/g" /w/e; t swapoff /w/a; t swapon /proc/$p/cwd/a; kill $p; rm -f /w/e

#: strange_empty_operand
mk a; t swapon ''; t swapon '' a; t swapoff ''; t swapoff '' a; t mkswap ''

#: strange_dash_operand inode
mk ./-; t swapon -; t swapoff -; t swapon ./-; t mkswap -; t swapoff ./-; t mkswap -

#: strange_too_long
n=$(printf '%300s' | tr ' ' x); p=$(printf '/x%.0s' $(seq 2100)); mk a
t swapon "$n"; t swapon "$p" a; t swapoff "$n"; t swapoff "$p"; t mkswap "$n"

#: strange_many_operands
for i in $(seq 24); do space f$i 1; mkswap f$i >/dev/null; done
t swapon f* gone*; awk 'NR>1' /proc/swaps | wc -l; t swapoff f* gone; awk 'NR>1' /proc/swaps | wc -l

#: strange_more_than_kernel_takes
for i in $(seq 34); do space f$i 1; mkswap f$i >/dev/null; done
t swapon f* 2>/w/err; awk 'NR>1' /proc/swaps | wc -l; wc -l </w/err; t swapoff -a; rm -f /w/err

#: strange_hibernated util-linux
mk a; printf S1SUSPEND\\000 | dd of=a bs=1 seek=4086 conv=notrunc 2>/dev/null; swaplabel -L hib a
t swapon a; awk 'NR>1{print $1}' /proc/swaps; t swapoff a

#: strange_hibernated_others
for s in S2SUSPEND ULSUSPEND LINHIB0001 S1SUSPEND; do mk a; printf $s\\000 | head -c 10 | dd of=a bs=1 seek=4086 conv=notrunc 2>/dev/null; t swapon a; swapoff a 2>/dev/null; rm a; done

#: strange_hibernated_hole util-linux quiet
truncate -s 4M a; chmod 600 a; mkswap a >/dev/null; fallocate -l 4M a; printf S1SUSPEND\\000 | dd of=a bs=1 seek=4086 conv=notrunc 2>/dev/null
t swapon a

#: strange_v0_header
mk a; printf SWAP-SPACE | dd of=a bs=1 seek=4086 conv=notrunc 2>/dev/null; t swapon a; t swapoff a

#: strange_bad_pages
mk a; printf '\001\000\000\000' | dd of=a bs=1 seek=1032 conv=notrunc 2>/dev/null; printf '\005\000\000\000' | dd of=a bs=1 seek=1536 conv=notrunc 2>/dev/null; t swapon a

#: strange_last_page_odd
for v in '\000\000\000\000' '\001\000\000\000' '\377\377\377\377' '\000\004\000\000'; do mk a; printf "$v" | dd of=a bs=1 seek=1028 conv=notrunc 2>/dev/null; t swapon a; awk 'NR>1{print $3}' /proc/swaps; swapoff a 2>/dev/null; rm a; done

#: strange_byte_swapped gap
mk a; printf '\000\000\000\001' | dd of=a bs=1 seek=1024 conv=notrunc 2>/dev/null; printf '\000\000\003\377' | dd of=a bs=1 seek=1028 conv=notrunc 2>/dev/null; t swapon a; awk 'NR>1{print $3}' /proc/swaps

#: strange_label_bytes util-linux
mk a; printf 'ab\377\033\n"\\ \tcdefghi' | dd of=a bs=1 seek=1052 conv=notrunc 2>/dev/null; t swapon a; swapon --show=LABEL --noheadings; swapon --show=LABEL --raw --noheadings; t swapoff a
t swapon -L "$(printf 'ab\377\033\n"\\ \tcdefghi')"

#: strange_label_empty_and_uuid_odd util-linux
mk a; t swapon -L ''; t swapon -U ''; t swapon LABEL=; t swapon UUID=; t swapoff LABEL=; t swapoff -L ''; t swapon -U zz

#: strange_not_page_multiple
for n in 4194305 4198399 4194300 40961 45055 40960; do fallocate -l $n a; chmod 600 a; mkswap a >/dev/null 2>&1; t swapon a; awk 'NR>1{print $3}' /proc/swaps; swapoff a 2>/dev/null; rm a; done

#: strange_huge_sparse quiet inode
truncate -s 2G a; chmod 600 a; t mkswap a >/dev/null; t swapon a 2>/dev/null >/dev/null; df --output=avail / | tail -1 | awk '{print ($1 > 300000)}'; ls -l a | awk '{print $5}'; fallocate -l 100M b; t ls b; rm a b

#: strange_times
mk a; touch -d '2001-02-03 04:05:06' a; t swapon a; t swapoff a; stat -c '%Y' a; i=$(stat -c %i a); t swapon a; [ "$i" = "$(stat -c %i a)" ] && echo same

#: strange_mkswap_blocks
truncate -s 8M a; chmod 600 a; mkswap a >/dev/null; stat -c '%s' a; [ $(stat -c %b a) -lt 100 ] && echo sparse

#: strange_xattr util-linux
mk a; setfattr -n user.x -v 1 a; t swapon a; getfattr -n user.x a; setfattr -n user.y -v 2 a; echo $?; t swapoff a; getfattr -d a

#: strange_swaplabel util-linux inode
mk a; t swaplabel -L one a; t swaplabel a | grep LABEL; t swapon a; t swaplabel -L two a; swapon --show=LABEL --noheadings; t swapoff LABEL=one; t swapon LABEL=one

#: strange_flock_held
mk a; flock a swapon a; echo $?; flock a swapoff a; echo $?; flock a mkswap a >/dev/null; echo $?

#: strange_timeout_and_co util-linux
mk a; t timeout 20 swapon a; t nice -n 5 swapoff a; t setsid -w swapon a; t setarch -R swapoff a; t ionice -c3 swapon a; t chrt -o 0 swapoff a; t setarch i686 swapon a; t linux32 swapon --show=NAME; t taskset 1 swapoff a; t nohup swapon a

#: strange_nnp util-linux inode
mk a; t setpriv --no-new-privs swapon a; t setpriv --no-new-privs swapoff a; t setpriv --bounding-set=-all,+sys_admin swapon a; t setpriv --bounding-set=-sys_resource,-mknod,-linux_immutable swapoff a; t setpriv --bounding-set=-dac_override,-dac_read_search swapon a; t setpriv --bounding-set=-sys_ptrace swapoff a; t setpriv --bounding-set=-sys_chroot swapon a

#: strange_securebits util-linux strict
mk a; t setpriv --securebits=+noroot,+noroot_locked swapon a; t setpriv --securebits=+noroot swapoff a

#: strange_pdeath util-linux
mk a; t setpriv --pdeathsig KILL swapon a; t setpriv --clear-groups --regid 5 swapoff a; t setpriv --egid 5 --keep-groups swapon a

#: strange_rlimits util-linux gap
mk a; (ulimit -s 64; swapon a; echo $?); (ulimit -s 128; swapoff a; echo $?); (ulimit -c 0; ulimit -l 0; ulimit -f 0; swapon a; echo $?); swapoff a; (ulimit -v 30000; swapon a; echo $?); (ulimit -v 30000; swapon --show=NAME --noheadings; echo $?)

#: strange_tight_memory util-linux quiet
mk a; (ulimit -v 8000; swapon a; echo $?); (ulimit -v 8000; swapoff a; echo $?)

#: strange_nproc
mk a; (ulimit -u 1 2>/dev/null; swapon a; echo $?); t swapoff a

#: strange_huge_environment util-linux
mk a; big=$(printf '%120000s' x); X="$big" t swapon a; X="$big" Y="$big" Z="$big" W="$big" t env swapon --show=NAME --noheadings; X="$big" t env swapoff a

#: strange_many_variables util-linux
mk a; for i in $(seq 252); do export V$i=1; done; env swapon --version | cut -c1-6; for i in $(seq 253 600); do export V$i=1; done; env swapon --version | cut -c1-6; env swapon a; echo $?; env -i /sbin/swapon --show=NAME --noheadings

#: strange_malformed_environment util-linux real
mk a; cat >x.pl <<'P'
my $p = shift; exec {$p} @ARGV;
P
perl x.pl /sbin/swapon swapon --show=NAME; perl x.pl /sbin/swapon /x/swapon -s; perl x.pl /sbin/swapon swapon/ a; echo $?; perl x.pl /sbin/swapon '' --version | cut -c1-6; perl x.pl /sbin/swapoff swapoff a; echo $?

#: strange_depth_preset util-linux real
mk a; ROOTFS_SHIM_DEPTH=1 t swapon a; ROOTFS_SHIM_DEPTH=x t swapoff a; ROOTFS_SHIM_DEPTH=300 t swapon a; ROOTFS_SHIM_DEPTH= t swapon --show=NAME; ROOTFS_SHIM_DEPTH=9 t swapoff a

#: strange_stdout_read_only
mk a; swapon -v a 1</dev/null; echo $?; swapoff -v a 1</dev/null; echo $?; swapon --show 1</dev/null; echo $?; mkswap a 1</dev/null; echo $?; swapon -s 1</dev/null; echo $?

#: strange_stdin_odd
mk a; t swapon a </dev/full; t swapoff a </w; t swapon a <>/dev/null

#: strange_high_fds
mk a; swapon a 9</dev/null 8>/w/o 7>&1; echo $?; swapoff a 9</dev/null; echo $?

#: strange_inherited_pipe
mk a; (swapon a; echo $?) | cat; x=$(swapon --show=NAME 2>&1 | tail -1); echo "$x"; (swapoff -v a; echo $?) 2>&1 | cat

#: strange_coproc_background_reader util-linux
mk a; mkfifo p; cat p >o & swapon -v a >p; wait; cat o; rm p o

#: strange_socket_stdout util-linux
mk a; perl -e 'use Socket; socketpair(A,B,AF_UNIX,SOCK_STREAM,0); if(!fork){open(STDOUT,">&",A);exec "swapon","-v","/w/a"} wait; close A; print <B>'

#: strange_nonblocking_stdout util-linux
mk a; perl -e 'use Fcntl; pipe(R,W); fcntl(W,F_SETFL,O_NONBLOCK); if(!fork){open(STDOUT,">&",W);exec "swapon","-v","/w/a"} wait; close W; print <R>'

#: strange_sigmask util-linux
mk a; perl -e 'use POSIX; my $s=POSIX::SigSet->new; $s->fillset; sigprocmask(SIG_BLOCK,$s); exec "swapon","-v","/w/a"'; echo $?; perl -e '$SIG{CHLD}="IGNORE"; exec "swapoff","-v","/w/a"'; echo $?; perl -e '$SIG{$_}="IGNORE" for qw(CHLD PIPE TERM INT HUP USR1 ALRM); exec "swapon","-v","/w/a"'; echo $?

#: strange_alarm util-linux
mk a; perl -e 'alarm 30; exec "swapon","/w/a"'; echo $?; perl -e 'setpgrp; exec "swapoff","/w/a"'; echo $?

#: strange_sigmask_of_the_tool util-linux
mkdir h; mk a; perl -e 'use POSIX; my $s=POSIX::SigSet->new(SIGUSR1); sigprocmask(SIG_BLOCK,$s); $SIG{PIPE}="DEFAULT"; exec "swapon","--show=NAME"'; rm -r h

#: strange_strace util-linux
mk a; command -v strace >/dev/null && { strace -f -o /dev/null swapon a; echo $?; strace -f -o /dev/null swapon --show=NAME --noheadings; strace -f -o /dev/null swapoff a; echo $?; }

#: strange_unshare_kinds util-linux
mk a; mk b; t unshare -m swapon a; t unshare -mpf --mount-proc swapoff a; t unshare -pf swapon a; t unshare -u -i -n -C swapoff a; t unshare -m --propagation shared swapon a; t unshare -m --propagation slave swapoff a; t unshare -m --propagation unchanged swapon b; awk 'NR>1{print $1}' /proc/swaps

#: strange_pid_namespace_old_proc util-linux
mk a; t unshare -pf swapon a; t unshare -pf swapon --show=NAME; t unshare -pf swapoff -v a; t unshare -pf mkswap a | wc -l

#: strange_fake_proc_listing util-linux
mk a; t unshare -m sh -c 'mount -t tmpfs x /proc; mkdir /proc/self; ln -s /bin/ls /proc/self/exe; swapon --version | cut -c1-6; swapoff --help | head -2'

#: strange_proc_with_options util-linux gap
mk a; t unshare -m sh -c 'mount -t proc -o hidepid=2,subset=pid x /proc; swapon a; echo $?; swapoff a; echo $?' 

#: strange_proc_hidepid util-linux
mk a; unshare -m sh -c 'mount -t proc -o hidepid=2 x /proc; swapon a; echo $?; swapoff a; echo $?'

#: strange_proc_ro_swaps_masked util-linux quiet gap
mk a; unshare -m sh -c 'mount --bind /dev/null /proc/swaps; swapon a; echo $?; swapoff a; echo $?'

#: strange_mountinfo_masked util-linux
mk a; unshare -m sh -c 'mount -t tmpfs x /mnt; : >/mnt/e; mount --bind /mnt/e /proc/sys/vm/swappiness; swapon a; echo $?; umount /mnt; swapoff a; echo $?'

#: strange_dev_empty util-linux inode
mk a; unshare -m sh -c 'mount -t tmpfs x /dev; swapon a; echo $?; swapoff a; echo $?; mkswap a >/w/o 2>&1; echo $?'; rm -f o

#: strange_sys_empty util-linux gap
mk a; unshare -m sh -c 'umount -l /sys 2>/dev/null; swapon a; echo $?; swapoff a; echo $?'

#: strange_run_etc_empty util-linux
mk a; unshare -m sh -c 'mount -t tmpfs x /etc; mount -t tmpfs x /run; mount -t tmpfs x /tmp; swapon a; echo $?; swapon -a; echo $?; swapoff -a; echo $?'

#: strange_mnt_dirs_missing util-linux
mk a; chroot / swapon /w/a; echo $?; chroot / sh -c 'cd /w; swapoff a; echo $?'

#: strange_chroot_rbind_of_root util-linux
mk a; unshare -m sh -c 'mkdir /w/r; mount --rbind / /w/r; mount --make-rslave /w/r; chroot /w/r swapon /w/a; echo $?; chroot /w/r swapoff /w/a; echo $?; chroot /w/r swapon -a; echo $?'; awk 'NR>1{print $1}' /proc/swaps

#: strange_pivot util-linux
mk a; unshare -m sh -c 'mkdir -p /w/r; mount --rbind / /w/r; cd /w/r; mkdir -p old; pivot_root . old; cd /w; swapon a; echo $?; swapoff /old/w/a; echo $?; swapon /old/w/a; echo $?; swapoff a; echo $?'; rm -rf /old

#: strange_foreign_overlay quiet
mk a; mkdir o u m; mount -t tmpfs x u; mkdir u/u u/w; mount -t overlay overlay -o lowerdir=/w/o:/w,upperdir=u/u,workdir=u/w m; t swapon m/a 2>/dev/null; ls u/u; umount m; umount u; ls -l a | cut -c1-10; t swapon a

#: strange_read_only_overlay quiet
mk a; mkdir o m; mount -t overlay overlay -o lowerdir=/w/o:/w m; t swapon m/a; t mkswap m/a >/dev/null; umount m

#: strange_bind_options
mk a; mkdir m; mount --bind /w m; mount -o remount,bind,noexec,nodev,nosuid,noatime m; t swapon m/a; t swapoff m/a; t swapon a; t swapoff m/a; umount m

#: strange_bind_file_over_itself
mk a; mount --bind a a; t swapon a; awk 'NR>1{print 1}' /proc/swaps; t swapoff a; umount a; t swapon a

#: strange_mount_source_odd util-linux inode
mkdir m; mount -t tmpfs '' m; : >m/a; truncate -s 4M m/a; chmod 600 m/a; mkswap m/a >/dev/null; swapon m/a >/dev/null 2>&1; awk 'NR>1{print 1}' /proc/swaps; umount m; mount -t tmpfs 'a b#\c' m; mk a; t swapon a; umount m; t swapoff a

#: strange_moved_mount
mkdir m n; mount --bind /w m; mk a; t swapon m/a; mount --move m n 2>/dev/null; t swapoff n/a; umount n 2>/dev/null || umount m

#: strange_rename_exchange util-linux
mk a; mk b; t swapon a; perl -e 'syscall(316,-100,"/w/a",-100,"/w/b",2)'; t swapoff a; t swapoff b; awk 'NR>1{print 1}' /proc/swaps

#: strange_restarts
mk a; for i in $(seq 15); do swapon a || echo bad; swapoff a || echo bad; done; awk 'NR>1{print 1}' /proc/swaps

#: strange_restarts_all
mk a; mk b; printf '/w/%s none swap sw 0 0\n' a b >/etc/fstab; for i in $(seq 8); do swapon -a || echo bad; swapoff -a || echo bad; done; awk 'NR>1{print 1}' /proc/swaps

#: strange_alls_at_once quiet
mk a; mk b; printf '/w/%s none swap sw 0 0\n' a b >/etc/fstab; for i in $(seq 8); do swapon -a >/dev/null 2>&1 & done; wait; awk 'NR>1{print $1}' /proc/swaps | sort
t swapoff -a

#: strange_mkswaps_at_once
space a; for i in $(seq 12); do mkswap a >/dev/null 2>&1 & done; wait; t swapon a; t swapoff a

#: strange_offs_at_once quiet
mk a; t swapon a; for i in $(seq 8); do swapoff a 2>/dev/null && echo ok & done; wait; awk 'NR>1{print 1}' /proc/swaps

#: strange_on_and_off_at_once quiet
mk a; for i in $(seq 10); do swapon a 2>/dev/null & swapoff a 2>/dev/null & done; wait; swapoff a 2>/dev/null; awk 'NR>1{print 1}' /proc/swaps; ls -A; t swapon a

#: strange_mkswap_in_a_loop
for i in 1 2 3 4 5; do rm -f a; mk a; t swapon a; t swapoff a; done

#: strange_tag_named_files inode
mk LABEL=x; t mkswap LABEL=x >/dev/null; t swapon ./LABEL=x; t mkswap LABEL=x >/dev/null; t swapoff LABEL=x; t swapoff ./LABEL=x

#: strange_swapoff_many_ways util-linux
mk a; mk b; mk c; t swapon a b c; t swapoff -v a gone b; t swapoff -a -v; t swapoff -av gone

#: strange_punched
mk a 8; fallocate -p -o 4M -l 1M a 2>/dev/null; awk 'NR>1{print $3}' /proc/swaps; stat -c %s a

#: strange_zero_range
mk a 8; fallocate -z -o 4M -l 1M a; t swapon a; awk 'NR>1{print $3}' /proc/swaps

#: strange_acl util-linux
mk a; chmod 640 a; chown 3:4 a; t swapon a; stat -c '%a %u %g' a; t swapoff a; chmod 4755 a; t swapon a; stat -c %a a

#: strange_symlink_swap
mkdir d; mk d/a; ln -s d/a l; t swapon l; rm l; ln -s gone l; t swapoff l; t swapoff d/a

#: strange_over_4k_output util-linux
for i in $(seq 20); do n=$(printf "%200s$i" | tr ' ' y); space $n 1; mkswap $n >/dev/null; done; swapon -v * 2>&1 | cut -c1-30; swapoff -v * 2>&1 | cut -c1-30

#: strange_empty_tag util-linux
truncate -s 16M d; x=$(losetup --find --show d); mkswap $x >/dev/null; t swapon -L ''; t swapoff -L ''; t swapon -U ''; t swapoff -U ''; t swapon -a -L ''; awk 'NR>1{print 1}' /proc/swaps; losetup -d $x

#: strange_quotes_in_the_middle util-linux
mk a; mk b; mk c; mk d; mk e; mk f; mk g
printf '%s\n' '/w/a none swap x="a,noauto,b" 0 0' '/w/b none swap x="a,pri=6,b",pri=4 0 0' '/w/c none swap x="y,pri=5 0 0' '/w/f none swap ,,noauto 0 0' '/w/gone none swap x="a,nofail,b" 0 0' '/w/g none swap x=\"a,pri=8,b 0 0' >/etc/fstab
t swapon -a
awk 'NR>1{print $1,($5 > 0 ? $5 : "auto")}' /proc/swaps

#: strange_quotes_in_busybox
mk a; mk b; mk c
printf '%s\n' '/w/a none swap x="a,noauto,b" 0 0' '/w/b none swap x="a,pri=6,b" 0 0' '/w/c none swap x=a,noautox,xnoauto 0 0' >/etc/fstab
t swapon -a
awk 'NR>1{print $1}' /proc/swaps

#: strange_lock util-linux real inode
mk a; flock a mkswap --lock=nonblock a >/dev/null; echo $?;

#: strange_chroot_of_chroot util-linux
mk a; mkdir r; mount --rbind / r; mount --make-rslave r; t chroot r chroot / swapon /w/a; t chroot r sh -c 'cd /w && chroot / swapoff w/a'; umount -R r

#: strange_no_proc_mount_at_all util-linux
mk a; unshare -m sh -c 'umount -l /proc; swapon /w/a; echo $?; swapoff /w/a; echo $?; mkswap /w/a >/dev/null; echo $?'

#: strange_empty_proc util-linux quiet
mk a; unshare -m sh -c 'mount -t tmpfs x /proc; swapon /w/a; echo $?; swapoff /w/a; echo $?'

#: strange_fake_self util-linux quiet
mk a; unshare -m sh -c 'mount -t tmpfs x /proc; mkdir /proc/self; swapon /w/a; echo $?'

#: strange_proc_read_only util-linux
mk a; unshare -m sh -c 'mount -o remount,ro,bind /proc; swapon /w/a; echo $?; swapoff /w/a; echo $?'

#: strange_proc_of_another_pid_namespace util-linux
mk a; unshare -pf sh -c 'swapon /w/a; echo $?; swapoff /w/a; echo $?; swapon --show=NAME; swapon -av; echo $?; mkswap /w/a >/dev/null; echo $?'

#: strange_proc_of_another_busybox
mk a; cat >x.sh <<'X'
/sbin/swapon /w/a; echo $?; /sbin/swapoff /w/a; echo $?
X
unshare -p -f sh x.sh

#: strange_ambient_caps util-linux quiet
mk a; chown 1000 a; swapon -s >/dev/null; stat -c %u a

#: strange_tag_with_path_in_it util-linux
mk a; swaplabel -L /w/a a; echo 'LABEL=/w/a none swap sw 0 0' >/etc/fstab; t swapon -a; t swapoff LABEL=/w/a; t swapoff /w/a

#: strange_fstab_dir_with_odd util-linux
mk a; mk b; mk c; mkdir t.d; echo '/w/a none swap sw 0 0' >t.d/.fstab; echo '/w/b none swap sw 0 0' >t.d/x.fstab; ln -s gone t.d/y.fstab; mkfifo t.d/z.fstab; ln -s x.fstab t.d/zz.fstab; echo '/w/c none swap pri=2 0 0' >"t.d/a b.fstab"; printf 'bad\n' >t.d/01.fstab; printf 'bad\n' >t.d/1.fstab; LIBMOUNT_FSTAB=/w/t.d t swapon -av; LIBMOUNT_FSTAB=/w/t.d/ t swapon -a

#: strange_fstab_dir_empty util-linux
mk a; mkdir t.d; LIBMOUNT_FSTAB=/w/t.d t swapon -av; echo x >t.d/README; LIBMOUNT_FSTAB=/w/t.d t swapon -a

#: strange_fstab_dir_loops util-linux
mk a; mkdir t.d; ln -s loop.fstab t.d/loop.fstab; mkdir t.d/d.fstab; ln -s /dev/zero t.d/zero.fstab; echo '/w/a none swap sw 0 0' >t.d/q.fstab; LIBMOUNT_FSTAB=/w/t.d t swapon -a

#: strange_fstab_dir_names_not_utf8 util-linux
mk a; mkdir t.d; printf 'bad\n/w/a none swap sw 0 0\n' >"$(printf 't.d/\377\033.fstab')"; LIBMOUNT_FSTAB=/w/t.d t swapon -a

#: strange_out_of_space quiet inode
mk a; dd if=/dev/zero of=fill bs=1M >/dev/null 2>&1; t swapon a; t swapoff a; t mkswap a >/dev/null; t swapon a; rm fill

#: strange_out_of_space_hole quiet inode
truncate -s 64M a; chmod 600 a; mkswap a >/dev/null; dd if=/dev/zero of=fill bs=1M >/dev/null 2>&1; swapon a >/dev/null 2>&1; rm fill; awk 'NR>1{print 1}' /proc/swaps; ls -l a | awk '{print $5}'

#: strange_tmpfile_linked util-linux
perl -e 'use Fcntl; sysopen(F,"/w",020200000|O_RDWR,0600) or die; truncate F,0; my $b="\0"x1048576; syswrite F,$b for 1..4; syscall(265,-100,"/proc/self/fd/".fileno(F),-100,"/w/a",0x400)'; ls a; mkswap a >/dev/null; t swapon a; t swapoff a

#: strange_setuid_sticky_odd_modes util-linux
mk a; for m in 0 7777 6000 1600 640 606; do chmod $m a; t swapon a; t swapoff a; done; stat -c %a a

#: strange_verbose_all_flags util-linux
mk a; t swapon -v -v -p 3 -p 5 a; t swapoff -v -v a; t swapon -dv a; t swapoff a; t swapon -fv a; t swapoff a; t swapon -v --fixpgsz --discard=pages --priority 7 a

#: strange_fixpgsz_of_other util-linux quiet
mk a; cp a b; mkswap -p 8192 -L foo -U 01234567-89ab-cdef-0123-456789abcdef a >/dev/null 2>&1; chmod 600 a; t swapon -f a; awk 'NR>1{print $3}' /proc/swaps; swaplabel a

#: strange_all_with_fixpgsz util-linux quiet
mk a; mkswap -p 8192 a >/dev/null 2>&1; echo '/w/a none swap pri=2 0 0' >/etc/fstab; t swapon -af; awk 'NR>1{print $1,$3,$5}' /proc/swaps

#: strange_swapon_symlink_in_bind
mkdir d; mk d/a; ln -s /w/d/a l; mkdir m; mount --bind d m; t swapon m/../l; t swapoff m/a; umount m

#: strange_all_while_operand_active
mk a; mk b; t swapon a; printf '/w/%s none swap sw 0 0\n' a b >/etc/fstab; t swapon -a a; t swapon -a b; awk 'NR>1{print $1}' /proc/swaps

#: strange_all_and_gone_operand
mk a; echo '/w/a none swap sw 0 0' >/etc/fstab; t swapon -a gone; t swapoff -a gone

#: strange_ifexists_operand util-linux
mk a; t swapon -e a; t swapon -ae gone; t swapon -ae a; t swapoff -e a

#: strange_priority_operand_bounds
mk a; t swapon -p 32767 a; awk 'NR>1{print $5}' /proc/swaps; swapoff a; t swapon -p 32768 a; t swapoff a; t swapon -p -1 a; t swapoff a; t swapon -p 0 a; awk 'NR>1{print $5}' /proc/swaps

#: strange_many_names_of_one
mk a; for i in 1 2 3 4 5; do ln a l$i; done; t swapon l3; t swapon l1; t swapoff l5; t swapon l1 l2; awk 'NR>1{print $1}' /proc/swaps

#: strange_swap_over_loop_on_overlay
truncate -s 16M d; x=$(losetup --find --show d); mkswap $x >/dev/null; t swapon $x >/dev/null; t swapoff $x >/dev/null; t mkswap d >/dev/null 2>&1; losetup -d $x

#: strange_file_busy_as_loop inode
mk a 16; x=$(losetup --find --show a); t swapon a; t mkswap a >/dev/null; losetup -d $x; swapoff a; t swapon a

#: strange_active_then_loop quiet
mk a 16; t swapon a; losetup --find --show a >/dev/null 2>&1; echo $?; losetup -D 2>/dev/null; :

#: strange_cwd_on_other_mount
mk a; mkdir m; mount -t tmpfs x m; cd m; t swapon ../a; t swapoff ../../w/a; cd ..; umount m

#: strange_cwd_without_search util-linux
mk a; mkdir p; chmod 0 p; cd p; t swapon ../a; t swapoff /w/a; cd /w; chmod 755 p

#: strange_root_as_cwd
mk a; cd /; t swapon w/a; t swapoff ./w/a; t swapon .//w/a; t swapoff w/../w/a

#: strange_newline_verbose util-linux
n="a
b"; mk "$n"; t swapon -v "$n"; t swapoff -v "$n"; t swapon "$n" gone; swapon --show=NAME --raw --noheadings

#: strange_backing_path_like_name
mkdir -p /w/.rootfs-shim/upper; mk /w/.rootfs-shim/upper/a; t swapon .rootfs-shim/upper/a; t swapoff .rootfs-shim/upper/a

#: strange_names_that_contain_upper util-linux
mkdir -p 'w/.rootfs-shim'; mk 'w/.rootfs-shim/upper'; t swapon -v w/.rootfs-shim/upper gone/.rootfs-shim/upper/x; t swapoff -v w/.rootfs-shim/upper

#: strange_truncate_to_nothing
mk a; : >a; t swapon a; t mkswap a; t swapoff a

#: strange_directory_replaced util-linux inode
mkdir d; mk d/a; t swapon d/a; mv d e; mkdir d; mk d/a; t swapon d/a; awk 'NR>1{print $1}' /proc/swaps; t swapoff d/a; t swapoff e/a; awk 'NR>1{print 1}' /proc/swaps

#: strange_whiteout_recreated
mkdir -p q; mk q/a; rm -rf q; mkdir q; mk q/a; t swapon q/a; t swapoff q/a; rm -r q

#: strange_listing_while_changing util-linux
mk a; for i in 1 2 3 4 5 6; do swapon --show=NAME --noheadings >/dev/null & swapon -s >/dev/null & done; t swapon a; wait; swapon --show=NAME,TYPE,SIZE,PRIO --noheadings | wc -l

#: strange_options_after_double_dash util-linux
mk a; mk ./-v; t swapon -- -v a; t swapoff -- -v a; t swapon a -- -v; awk 'NR>1{print $1}' /proc/swaps

#: strange_dup_operand_offs
mk a; t swapon a; t swapoff a a; t swapon a; t swapoff ./a /w/a ../w/a

#: strange_show_after util-linux
mk a; mkswap -L q a >/dev/null 2>&1; t swapon -p 3 a; swapon --show=NAME,TYPE,SIZE,PRIO,LABEL --bytes --raw; swapon --show --output-all >/dev/null; echo $?; swapon -s; swapon --summary; swapon --noheadings --raw --show=LABEL; swapon --show=UUID --noheadings | wc -c; swapon --show=BAD; echo $?; swapon --show=+LABEL; echo $?; swapon --bytes; swapon --raw

#: strange_off_of_text_file
echo x >a; t swapoff a; t swapon a; t mkswap a; cat a

#: strange_mkswap_offset_and_size util-linux
fallocate -l 4M a; chmod 600 a; t mkswap a 2048 >/dev/null; t swapon a; awk 'NR>1{print $3}' /proc/swaps; t swapoff a; t mkswap a 8192 >/dev/null; t mkswap a 10 ; t mkswap a 40 >/dev/null; t mkswap a x; t mkswap a -5; t mkswap a 0; t mkswap a ''; t mkswap a 4096 z

#: strange_mkswap_misc util-linux
fallocate -l 4M a; chmod 600 a; t mkswap -v1 a >/dev/null; t mkswap -v0 a; t mkswap -v a; t mkswap -p 1000 a; t mkswap -p 0 a; t mkswap -p x a; t mkswap -U nonsense a; t mkswap -U random a >/dev/null; t mkswap -U time a >/dev/null; t mkswap -L "$(printf '%20s' | tr ' ' é)" a | tail -1 | cut -c1-20; t mkswap -L '' a | tail -1 | cut -c1-8; t mkswap -c -f -L x a >/dev/null; t mkswap /dev/null; t mkswap /dev/zero; t mkswap /w; t mkswap -f /w

#: strange_bind_of_root_with_dev util-linux gap
mk a; mkdir r; mount --bind / r; mount --rbind /usr r/usr; mount --rbind /proc r/proc; mount --make-rslave r/proc; mount --bind /dev r/dev; for d in bin sbin lib lib64 etc; do [ -h /$d ] || mount --bind /$d r/$d; done; echo '/w/a none swap pri=3 0 0' >/etc/fstab; t chroot r swapon -a; t chroot r swapon -a; t chroot r swapon --show=NAME --noheadings; t chroot r swapoff /w/a; t chroot r swapon /w/a; t chroot r swapoff -a; umount -R r

#: strange_lock_plain util-linux real inode
mk a; t mkswap --lock a >/dev/null; t mkswap --lock=yes a >/dev/null; t swapon a; t mkswap --lock=nonblock a; t swapoff a; t mkswap --lock=no /w/a >/dev/null

#: strange_stdout_read_only_both util-linux
mk a; mk b; swapon -v a b 1</dev/null; echo $?; swapoff -v a b 1</dev/null; echo $?; swapon -v a gone 1</dev/null; echo $?; echo '/w/b none swap pri=2 0 0' >/etc/fstab; swapon -av 1</dev/null; echo $?

#: strange_fd_paths_busybox
mk a; exec 5<>/w/a; t mkswap /dev/fd/5 >/dev/null; t swapon /dev/fd/5; t swapoff /dev/fd/5; t swapoff /dev/fd/5 2>/dev/null; exec 5<&-; t swapon /proc/self/cwd/a; t swapoff /dev/../w/a

#: strange_slashes_in_fstab util-linux
for f in a b c d; do mk $f; done
echo '/w/a/ none swap sw 0 0' >/etc/fstab; t swapon -a; t swapon -av; t swapoff -a
echo '/w/b// none swap pri=3 0 0' >/etc/fstab; t swapon -a; t swapoff -a
echo '/w/c/. none swap sw 0 0' >/etc/fstab; t swapon -a; t swapoff -a
echo '/w/d\040/ none swap sw 0 0' >/etc/fstab; t swapon -a; t swapoff -a; t swapon a/; t swapoff a/

#: strange_slashes_in_fstab_of_busybox
mk a
echo '/w/a/ none swap sw 0 0' >/etc/fstab; t swapon -a; t swapoff -a
