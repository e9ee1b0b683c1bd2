#: ansible util-linux
# community modules: stat, command with creates, mkswap when changed, mount module's fstab, `swapon --show`
[ -f /swapfile ] || space /swapfile
blkid -s TYPE -o value -p /swapfile || mkswap /swapfile >/dev/null
blkid -s TYPE -o value -p /swapfile
swapon --show=NAME --noheadings | grep -qx /swapfile || swapon /swapfile
swapon --show=NAME --noheadings | grep -qx /swapfile && echo changed=0
grep -q '^/swapfile' /etc/fstab || echo '/swapfile none swap sw 0 0' >>/etc/fstab
free -m | awk '/Swap/{print ($2 > 0)}'
swapon -a

#: ansible_swaptotal
space /swapfile
mkswap /swapfile >/dev/null
test "$(awk '/SwapTotal/{print $2}' /proc/meminfo)" = 0 && swapon /swapfile
awk '/SwapTotal/{print $2}' /proc/meminfo

#: cloud_init util-linux
# cc_mounts: a shell line with fallocate or dd, then swapon -a
sh -c 'if [ -n "'"$NOCOW"'" ]; then : >/swapfile; chattr +C /swapfile; fi
rm -f "$1.x"; umask 0066; { fallocate -l "${2}M" "$1"; } || dd if=/dev/zero "of=$1" bs=1M "count=$2" status=none
mkswap "$1"' setup_swap /swapfile 16
echo '/swapfile	none	swap	sw,comment=cloudconfig	0	0' >>/etc/fstab
t swapon -a
t swapon -a
swapon --show=NAME,TYPE,SIZE

#: chef
# the swap_file resource
space /var/swapfile
chmod 600 /var/swapfile
mkswap -f /var/swapfile >/dev/null
grep -q '^/var/swapfile ' /proc/swaps || swapon /var/swapfile
grep '^/var/swapfile ' /proc/swaps | awk '{print $1,$3}'
swapoff /var/swapfile
grep -c '^/var/swapfile ' /proc/swaps

#: puppet util-linux
space /var/swap.1
mkswap /var/swap.1 >/dev/null
swapon -s | grep -q /var/swap.1 || swapon /var/swap.1
swapon -s | grep /var/swap.1 | awk '{print $1,$2,$3}'
swapon -s | tail -n+2 | awk '{ print $1 }' | xargs swapoff
swapon -s

#: dphys_swapfile util-linux
# setup, swapon, swapoff, uninstall
F=/var/swap
[ -e $F ] || space $F
mkswap $F >/dev/null 2>&1
chmod 600 $F
swapon $F 2>&1 >/dev/null | sed 's/^/err: /'
swapon $F 2>&1 >/dev/null | sed 's/^/err: /'
/sbin/swapoff $F 2>/dev/null; echo $?
rm -f $F

#: swapspace quiet
# makes numbered files, calls swapon(2)'s tool on each, and looks for them in /proc/swaps
mkdir -m 700 /var/swapspace
for i in 1 2 3; do mk /var/swapspace/$i 4; swapon /var/swapspace/$i; done
awk 'NR>1{print $1,$3}' /proc/swaps
for i in 3 2 1; do swapoff /var/swapspace/$i && rm /var/swapspace/$i; done
ls /var/swapspace

#: ci_runner util-linux
# GitHub's runners and their imitators
export SWAP_FILE=$(swapon --show=NAME | tail -n 1)
echo "[$SWAP_FILE]"
mk /swapfile; swapon /swapfile
export SWAP_FILE=$(swapon --show=NAME | tail -n 1)
swapoff $SWAP_FILE
rm $SWAP_FILE
space $SWAP_FILE
chmod 600 $SWAP_FILE
mkswap $SWAP_FILE >/dev/null
swapon $SWAP_FILE
swapon --show

#: ubuntu_howto util-linux
swapon --show
space /swapfile
ls -l /swapfile | cut -c1-10
mkswap /swapfile
swapon /swapfile
swapon --show
cp /etc/fstab /etc/fstab.bak
echo '/swapfile none swap sw 0 0' | tee -a /etc/fstab
swapoff -v /swapfile
sed -i '/swapfile/d' /etc/fstab
rm /swapfile

#: resize util-linux
mk /swapfile 8; swapon /swapfile
swapoff /swapfile && fallocate -l 12M /swapfile && mkswap /swapfile >/dev/null && swapon /swapfile
swapon --show=NAME,SIZE --noheadings

#: alpine
set -e
mk /swapfile 8
swapon /swapfile
grep -q swapfile /proc/swaps
swapoff /swapfile
rm /swapfile

#: size_from_memory util-linux
MEM=$(awk '/MemTotal/{print ($2 > 0) ? 16 : 0}' /proc/meminfo)
fallocate_or_dd() { space "$1" "$2" || dd if=/dev/zero of="$1" bs=1M count="$2"; }
fallocate_or_dd swap.img $MEM
mkswap swap.img | sed 's/UUID.*//'
swapon --priority 100 swap.img
swapon --show=NAME,SIZE,PRIO --noheadings

#: systemd_swap_files
mkdir -p /var/swap
for i in 1 2 3 4; do mk /var/swap/$i 4; swapon -p 3$i /var/swap/$i; done
awk 'NR>1{print $1,$3,$5}' /proc/swaps
tail -n +2 /proc/swaps | while read -r f rest; do swapoff "$f" && rm "$f"; done
ls /var/swap

#: test_if_any_swap
[ "$(wc -l </proc/swaps)" -gt 1 ] && echo has || echo none
mk s; swapon s
[ "$(wc -l </proc/swaps)" -gt 1 ] && echo has || echo none
[ -n "$(sed 1d /proc/swaps)" ] && echo has
swapoff s

