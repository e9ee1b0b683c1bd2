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

