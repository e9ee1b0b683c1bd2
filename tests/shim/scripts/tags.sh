#: tag_nobody_has util-linux
t swapon -L nope
t swapon -U 01234567-89ab-cdef-0123-456789abcdef
t swapon LABEL=nope
t swapon UUID=nope
t swapon PARTLABEL=nope
t swapoff LABEL=nope
t swapoff -L nope
t swapoff -U nope

#: tag_among_files util-linux
mk s
t swapon LABEL=nope s
t swapon -L nope s
t swapoff s LABEL=nope

#: tag_of_a_loop_device util-linux
space b
D=$(losetup -f); losetup $D b; mkswap -L lolabel -U clear $D >/dev/null
t swapon -L lolabel 2>/dev/null
awk 'NR>1{print $2,$3}' /proc/swaps
t swapoff -L lolabel 2>/dev/null
t swapon LABEL=lolabel 2>/dev/null
t swapoff LABEL=lolabel 2>/dev/null
swapoff $D 2>/dev/null
losetup -d $D

#: names_that_look_like_tags util-linux
mk LABEL=x; mk ./UUID=y
t swapon ./LABEL=x
t swapon /w/UUID=y
t swapoff ./LABEL=x ./UUID=y
mk LABEL
t swapon LABEL
t swapoff LABEL

#: swapoff_by_tag_of_an_active_file util-linux
space s; mkswap -L lab -U 01234567-89ab-cdef-0123-456789abcdef s >/dev/null
swapon s
t swapoff -U 01234567-89ab-cdef-0123-456789abcdef
cat /proc/swaps | wc -l


#: tag_that_only_the_cache_knows util-linux
rm -rf /run/blkid; mkdir -p /run/blkid
mk /w/s; mk /w/t; mkswap -L cached -U clear /w/t >/dev/null
U=$(blkid -s UUID -o value /w/s)
blkid -s LABEL -o value /w/t
t swapon UUID=$U
t swapon UUID=$U 2>/dev/null
t swapoff UUID=$U
t swapon -U $U
t swapoff -U $U
t swapon -p 5 -L cached
awk 'NR>1{print $1,$5}' /proc/swaps
t swapoff LABEL=cached
t swapon LABEL=cached nope UUID=$U
t swapoff -a

#: tag_in_fstab_that_only_the_cache_knows util-linux
rm -rf /run/blkid; mkdir -p /run/blkid
space /w/s; mkswap -U 01234567-89ab-cdef-0123-456789abcdef /w/s >/dev/null
space /w/t; mkswap -L cached /w/t >/dev/null
blkid -s LABEL -o value /w/t
echo "UUID=$(blkid -s UUID -o value /w/s) none swap sw,pri=4 0 0" >/etc/fstab
echo 'LABEL="cached" none swap sw,nofail 0 0' >>/etc/fstab
t swapon -a
swapon --show=NAME,PRIO
t swapon -av
swapoff -a
t swapon -av

#: tag_in_the_cache_that_is_gone util-linux
rm -rf /run/blkid; mkdir -p /run/blkid
mk /w/s; mk /w/t
mkswap -L one /w/s >/dev/null; mkswap -L two /w/t >/dev/null
blkid -s LABEL -o value /w/s; blkid -s LABEL -o value /w/t
rm /w/s
touch -d @2000000000 /w/t; mkswap -L three /w/t >/dev/null; touch -d @2000000000 /w/t
t swapon LABEL=one
t swapon LABEL=two
printf '%s\n' 'LABEL=one none swap nofail' 'LABEL=two none swap sw' >/etc/fstab
t swapon -a
t swapon -L three
