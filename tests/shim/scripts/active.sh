#: mkswap_of_an_active_file inode
mk s
swapon s
mkswap s
echo $?

#: rm_of_an_active_file inode
mk s
swapon s
rm s
echo $?
swapoff s
rm s
echo $?

#: write_to_an_active_file inode
mk s
swapon s
(: >s) 2>/dev/null
echo $?

#: mkswap_with_force_of_an_active_file util-linux inode
mk s; swapon s
t mkswap -f s
t mkswap -f -U clear s
t swapoff s

#: dd_onto_an_active_file inode
mk s; swapon s
dd if=/dev/zero of=s bs=4k count=1 2>/dev/null; echo $?
dd if=/dev/zero of=s bs=4k count=1 conv=notrunc 2>/dev/null; echo $?
t swapoff s
t swapon s

#: truncate_of_an_active_file quiet inode
mk s; swapon s
truncate -s 1M s; echo $?
truncate -s 32M s; echo $?
fallocate -l 32M s; echo $?
t swapoff s

#: mv_of_an_active_file quiet inode
mk s; swapon s; mkdir d
mv s d/t; echo $?
mv d/t s; echo $?
ls
swapoff s; echo $?

#: mv_onto_an_active_file quiet inode
mk s; swapon s; echo x >x
mv x s; echo $?
cp /etc/passwd s; echo $?
ln -f /w/x s; echo $?
swapoff s; echo $?

#: chmod_and_chown_of_an_active_file quiet
mk s; swapon s
chmod 640 s; echo $?
chown 1 s; echo $?
touch s; echo $?
swapoff s; echo $?

#: hard_link_of_an_active_file quiet inode
mk s; swapon s
ln s l; echo $?
rm -f l; echo $?
swapoff s; echo $?

#: read_of_an_active_file
mk s; swapon s
dd if=s bs=4096 count=1 2>/dev/null | tail -c 10; echo

#: rm_rf_of_its_directory quiet inode
mkdir d; mk d/s; swapon d/s
rm -rf d; echo $?
rmdir d; echo $?
ls d
swapoff d/s; rm -rf d; echo $?

#: swapon_of_a_link_of_an_active_file inode
mk s; ln s l; swapon s
t swapon l
t mkswap l

#: many_at_once
mk s
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    ( swapon s 2>/dev/null; echo "$?" >end$i ) &
done
wait
cat end* | sort | uniq -c | awk '{print $1}' | sort -n
rm end*

