#: swapoff_of_an_inactive_file
mk s
swapoff s
echo $?

#: swapoff_of_no_file
swapoff nope
echo $?
swapoff /nope/s
echo $?

#: swapoff_of_two_one_inactive
mk a
mk b
swapon a
swapoff a b
echo $?

#: swapoff_before_there_was_any
swapoff s 2>/dev/null || true; rm -f s; echo on

#: swapoff_by_symlink
mk s
ln -s s l
swapon s
swapoff l
echo $?

#: swapoff_by_other_spelling
mk s
swapon s
swapoff /w/../w//s
echo $?

#: swapoff_of_a_directory
mkdir d
swapoff d
echo $?

#: device_that_is_not_there util-linux
swapoff /dev/nope
echo $?
swapoff -L nope
echo $?
swapoff -U nope
echo $?

#: swapoff_statuses util-linux
mk a; mk b; swapon a; swapon b
t swapoff a b nope
swapon a
t swapoff nope nope2
t swapoff a
t swapoff a a
t swapoff ''
t swapoff /

#: swapoff_verbose_statuses util-linux
mk a; mk b; swapon a
t swapoff -v a b
t swapoff -v nope
t swapoff --verbose b

#: swapoff_of_a_deleted_name inode
mk s; swapon s
mkdir d
t mv s d/s
t swapoff s
t swapoff d/s
ls

#: swapoff_by_hard_link
mk s; ln s l; swapon s
t swapoff l
swapon l
t swapoff s
rm l s

#: swapoff_options_after_operands util-linux
mk s; swapon s
t swapoff s -v
swapon s
t swapoff -- s
swapon s
t swapoff -v -- s

#: swapoff_by_symlinked_directory
mkdir d; mk d/s; ln -s d l
swapon l/s
t swapoff l/s
swapon d/s
t swapoff l/../l/./s

#: swapoff_from_below
mkdir -p d/e; mk s; swapon s; cd d/e
t swapoff ../../s
cd ..
rm -r e ../s

#: swapoff_of_another_file_than_the_active
mk a; mk b; swapon a
t swapoff b
grep -c /w/a /proc/swaps
t swapoff a

#: swapoff_trailing_slash
mk s; swapon s
t swapoff s/
t swapoff s/.
t swapoff s
t swapon s/
t swapon s/.


#: swapoff_of_what_chattr_forbids inode
mk s
for flag in i a; do
    chattr +$flag s
    t swapoff s
    t swapoff -a
    chattr -$flag s
    swapon s
    chattr +$flag s
    t swapoff s
    t swapoff -a
    awk 'NR>1{print $1}' /proc/swaps
    chattr -$flag s
    t swapoff s
done

#: swapoff_verbose_of_what_chattr_forbids util-linux inode
mk a; mk b; mk c
swapon a; swapon c
chattr +i b
t swapoff -v a b c
chattr -i b
t swapoff c
