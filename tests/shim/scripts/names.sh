#: space
mk 'a b'
t swapon 'a b'
awk 'NR>1{print $1}' /proc/swaps
t swapoff 'a b'

#: space_words util-linux
mk ' a  b '
t swapon -v ' a  b '
t swapon ' a  b '
swapon --show
swapon --show --raw
swapon -s
t swapoff -v ' a  b '

#: control_characters
for c in '\t' '\n' '\\' '#' '\033[2J' '\007' '\r' '\001' '\177'; do
    n=$(printf "a${c}b.")
    mk "$n" 2
    t swapon "$n" | tail -c 10
    tail -n +2 /proc/swaps | awk '{print $1}' | od -c | head -3
    t swapoff "$n" | tail -c 10
    rm "$n"
done

#: control_characters_in_messages util-linux
for c in '\t' '\n' '\\' '\033[2J' '\377' '\342\200\256'; do
    n=$(printf "a${c}b.")
    t swapon "$n"
    t swapoff "$n"
    t mkswap "$n"
    mk "$n" 2
    t swapon -v "$n"
    t swapon "$n"
    t swapoff -v "$n"
done

#: invalid_utf8
n=$(printf 'x\377\376y')
mk "$n" 2
t swapon "$n" | tail -c 5
t swapoff "$n" | tail -c 5

#: unicode
mk äöü→ 2
t swapon äöü→
t swapoff äöü→

#: octal_look_alike
mk 'a\040b' 2; mk 'a b' 2
t swapon 'a\040b'
awk 'NR>1{print $1}' /proc/swaps
t swapoff 'a b'
t swapoff 'a\040b'

#: quotes_and_globs
for n in '*' '?' '"' "'" '$(x)' '`x`' ';' '&' '|' '[a]' '~' '!' '%s' '%n' '{}'; do
    mk "$n" 2
    t swapon "$n"
    t swapoff "$n"
    rm "$n"
done

#: deleted_suffix
mk 's (deleted)' 2; mk s 2
t swapon 's (deleted)'
t swapon s
t swapoff 's (deleted)'
t swapoff s

#: longest_name
n=$(printf '%255s' | tr ' ' x)
mk $n 2
t swapon $n
t swapoff $n
t swapon x$n

#: dots
mk ... 2; mk ..s 2
t swapon ...
t swapon ..s
t swapoff ... ..s

#: name_of_the_bind
mkdir -p .rootfs-shim/upper; mk .rootfs-shim/upper/s 2
t swapon .rootfs-shim/upper/s
t swapoff /w/.rootfs-shim/upper/s

