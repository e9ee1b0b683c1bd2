#: another_page_size
for size in 8192 16384 65536; do
    space s; mkswap -q -p $size s
    t swapon s
    t swapon -v s
    rm s
done

#: truncated_behind_its_header
mk s; truncate -s 1M s
t swapon s

#: longer_than_its_area
space s; mkswap s 2048
t swapon s
t swapoff s

#: immutable util-linux
mk s; chattr +i s
t swapon s
chattr -i s

#: read_only_modes quiet
for mode in 0400 0200 0000 0666 4755; do
    mk s; chmod $mode s
    t swapon s
    t swapoff s
    rm s
done

#: of_another_owner quiet
mk s; chown 12:34 s
t swapon s
t swapoff s

#: empty
: >s
t swapon s
t mkswap s
t swapon s

#: data_without_a_signature
space s; cp /etc/passwd s
t swapon s
echo behind the end >>s
t swapon s

#: open_for_writing quiet inode
mk s
exec 3<>s
t swapon s
echo x >&3
t swapoff s
printf mine >&3
exec 3>&-
head -c 4 s

#: mapped_by_another_name inode
mk s; mkdir d; ln s d/l
t swapon s
t swapon d/l
t swapon s d/l
t mkswap d/l
t swapoff d/l
t swapon d/l
t swapoff s

#: a_link_in_fstab
mk s; ln s l
echo "$PWD/l none swap sw 0 0" >/etc/fstab
t swapon s
t swapon -a
t swapoff -a

#: two_links_in_fstab
mk s; ln s l
printf '%s none swap sw 0 0\n' "$PWD/s" "$PWD/l" >/etc/fstab
t swapon -a
t swapon -a
t swapoff -a

#: removed_link_of_an_active_file inode
mk s; ln s l
t swapon l
rm -f l; echo $?
ls
t swapoff s
rm -f s l
