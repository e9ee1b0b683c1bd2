#: listing util-linux
mk s
swapon -p 5 s
swapon --show
swapon -s
swapon
swapon --show=NAME --noheadings
swapon --show --bytes --raw
swapon --show=NAME,PRIO,LABEL

#: listing_of_a_file_enables_nothing util-linux
mk s
swapon --show s
echo $?
swapon --show

#: swapon_verbose util-linux
mk s
swapon -v s
swapoff -v s

#: swapon_verbose_of_two util-linux
mk a
mk b
swapon -v a ./b
swapoff -v b a

#: swapon_verbose_symlink util-linux
mk s
ln -s s l
swapon -v l
swapoff -v l

#: listing_columns util-linux
mk a; mk b 20
swapon -p 7 a; swapon b
t swapon --show=NAME,TYPE,SIZE,USED,PRIO,UUID,LABEL
t swapon --show=name,size --bytes --noheadings
t swapon --show --raw --noheadings
t swapon --show=NAME,NOPE
t swapon --show=
t swapon --sho=NAME
t swapon --noheadings

#: listing_of_nothing util-linux
t swapon
t swapon --show
t swapon -s
t swapon --show --bytes

#: listing_with_operands util-linux
mk a; mk b
swapon a
t swapon -s b
t swapon b --show
t swapon -v --show a
t swapon --show -a
t swapon -p 5 -s b

#: proc_swaps
mk a; mk /data/b; ln -s /data/b l
swapon a; swapon l
awk 'NR>1{print $1,$2,$3,$4}' /proc/swaps
free | awk '/Swap/{print $2}'
grep SwapTotal /proc/meminfo

#: listing_through_a_pipe util-linux
mk a; swapon a
swapon --show | head -1
swapon | tail -1
swapon --show --noheadings | wc -l
swapon -s | awk 'NR==2{print $1}'

