#: usage_none
swapon
echo $?
swapoff
echo $?
mkswap
echo $?

#: usage_unknown
swapon --nope
echo $?
swapon -Z
echo $?
swapoff -Z
echo $?
mkswap -Z
echo $?

#: usage_help util-linux real
swapon --help
echo $?
swapon -h
swapoff -h
mkswap --help
echo $?

#: usage_help_short real
swapon -h
echo $?
swapoff -h
echo $?
mkswap -h
echo $?

#: usage_version util-linux real
swapon --version
echo $?
swapon -V
swapoff -V
mkswap -V
echo $?

#: usage_with_a_file util-linux
mk s
swapon --nope s
echo $?
swapon -e s
echo $?
swapon -p x s
echo $?
swapon s -p
echo $?
cat /proc/swaps

#: usage_mkswap_operands util-linux
mkswap a 1 2
echo $?

#: usage_of_an_older_mkswap util-linux real
mkswap --size 1M s
echo $?

#: usage_ambiguous util-linux
swapon --ver
echo $?
swapon --s
echo $?
swapon --sum
echo $?

#: usage_values util-linux
t swapon -p
t swapon -o
t swapon -L
t swapon --priority
t swapon --verbose=1
t swapon --noheadings s --raw
t swapoff --priority 5 s
t mkswap -L
t mkswap --label
t mkswap

#: usage_with_files_never_enables util-linux real
mk s
t swapon -h s
t swapon s --help
t swapon s --nope
t swapon -V s
t swapon s -V -p x
cat /proc/swaps

#: usage_of_mkswap_with_files util-linux real
space s
t mkswap --help s
t mkswap -V s
t mkswap --nope s
t mkswap s -Z
t mkswap s 1 2

#: usage_in_another_language util-linux
mk s
LANG=de_DE.UTF-8 LC_ALL=de_DE.UTF-8 LANGUAGE=de
export LANG LC_ALL LANGUAGE
t swapon nope
t swapoff s
t swapon -Z
t swapon -v s

#: usage_busybox
t swapon -Z
t swapoff
t mkswap
mk s
t swapon -Z s
t swapoff -Z s
cat /proc/swaps

