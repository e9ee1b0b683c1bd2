# Enabling, listing and disabling files.
area f -L lab
r swapon; r swapon --show; r swapon -s; r swapon --noheadings; r swapon -p 5; r swapon -v -e; r swapon -o x
r swapon f; r swapon; r swapon f; r swapon -v f
for call in --show -s -sv '--show --raw' '--show --bytes' --bytes --raw --noheadings '--show --noheadings --raw --bytes' --show=NAME \
    --show=name,size --show=NAME,TYPE,SIZE,USED,PRIO,UUID,LABEL '--show=UUID,LABEL --raw' --show=+UUID --show=NOPE --show= --show=NAME, \
    --show=,NAME --show=NAME,NAME '--show NAME' '--show f' '--show -- f g' '-s f' '--show -p x' '--show -p 5' --noh\ --show=UUID,PRIO \
    '-s --show' -sa '--show=NAME -a' '-a -o pri=5' '-a --raw' '-a -s' '-e --show' '--bytes=3' --s --nope=1; do r swapon $call; done
swaps; r swapoff -v f; r swapoff f; r swapoff nofile; r swapoff; r swapoff -v; r swapoff ''; r swapoff LABEL=; r swapoff f nofile
for tag in '-L lab' "-U $U" LABEL=lab "UUID=$U" 'LABEL="lab"' '-L nolab' '-U x' LABEL=nolab PARTLABEL=x ID=x '-L a -U b f' '-aL a'; do
    swapon f; r swapoff -v $tag; /usr/sbin/swapoff f 2>/dev/null
done
r swapoff -a; r swapoff -av; r swapoff -z; r swapoff --ver; r swapoff -ax; r swapoff --all=1; r swapoff -L; r swapoff -- -v
for how in '-p 5' -p0 '-p -1' '-p 40000' '-p 32767' '-p x' '-p 99999999999' '-p -32768' '-p 1k' '-p +7' --priority=10 '--prio 10' -fp\ 5 -vp\ 5 \
    '-o pri=10' '-o defaults,pri=100,discard=pages' '-o pri=x' '-o pri=5x' '-o pri=' '-o pri' '-o nope,nofail' '-o discard=foo' '-o discard' \
    '-o pri=5 -p 7' '-p 7 -o pri=5' '-o pri=99999' '-o pri=-3' '-o noauto' '-o pri=5,pri=6' '-o pri=3 -o discard' -d --discard=once -donce \
    '--discard=pages -p 3' --discard=foo -dfoo -d=once --discard= -e -f -fv '-d -p 2020' --pri -p '--raw -p 3' '--show=NAME --bytes'; do
    r swapon $how f; cat /proc/swaps; /usr/sbin/swapoff f 2>/dev/null
done
r swapon -p '' f; r swapon -p '  7' f; swaps; swapoff f; r swapon -p '7 ' f; r swapon f -p 100; swaps; r swapoff f
for what in nofile '' . /dev/null -z - '-o nofail nofile' '-- -x' LABEL=lab UUID=nope PARTLABEL=x LABEL= FOO=bar ID=x '-L a -L b nofile' -L; do r swapon $what; done
for mode in 644 4755 400; do chmod $mode f; r swapon f; r swapoff f; done; chown 5 f; chmod 644 f; r swapon f; r swapoff f
truncate -s 4M h; chmod 600 h; r swapon h; $MK -q h; r swapon h; r swapon -v h
zeros z 2048; r swapon z; r swapon -v z; r swapon -f z; printf x >tiny; r swapon tiny; : >empty; r swapon empty
area z -L fx -p 8192; r swapon z; r swapon -v z; r swapon -f z; r swapoff z; r swapon -fv z; r swapoff z; sum z
area f; poke f 4086 'S1SUSPEND\0'; cp f g; r swapon f; r swapoff f; r swapon -v g; r swapoff g
area f; truncate -s 2M f; r swapon f; r swapon -v f; zeros f 4096; $MK -q f 2048; r swapon -v f; swaps; r swapoff f
area f; poke f 4086 'SWAP-SPACE'; r swapon -v f; area f; poke f 1024 '\2'; r swapon -v f
area 'a b'; area c; r swapon 'a b' nofile c f; r swapon --show; r swapon --show --raw; r swapon -s; r swapoff c nofile 'a b' f; r swapon -v 'a b' nofile; r swapoff nofile 'a b'
n=$(printf 'n\nl\033\\\303\251\377 \\x'); area "$n"; r swapon "$n"; r swapon --show; r swapon --show --raw; r swapon -s; r swapon --show=NAME,UUID --noheadings; r swapoff "$n"
ln -s c l; r swapon -v l; r swapon --show=NAME; r swapoff -v l; mkdir d; ln -s ../c d/l; r swapon -v d/../d/l; r swapoff -v ./d//l; r swapon c/.; r swapon -v "$D//./c"; r swapoff c
area x -U clear; area y -L yy -U clear; area w -L 'l l'; r swapon x y w
for columns in NAME,UUID,LABEL LABEL,NAME LABEL UUID,PRIO; do r swapon --show=$columns; r swapon --show=$columns --raw; r swapon --show=$columns --noheadings; done; r swapoff x y w
area x -L "$(printf 'a\033\\\303\251')"; r swapon x; r swapon --show=NAME,LABEL; r swapon --show=NAME,LABEL --raw; r swapoff -L "$(printf 'a\033\\\303\251')"
area b; swapon b; r mkswap b; r mkswap -f b; r mkswap -q b; sum b; swapon --show >/dev/full; echo $?; r swapoff b b
for i in 1 2 3; do area s$i; done; r swapon -p 3 s1; r swapon s2 -p 4 s3; r swapon --show=NAME,PRIO; r swapoff -av
chmod 755 .; chmod 644 x; as="setpriv --reuid 1000 --clear-groups"; r $as swapon x; r $as swapoff x; swapon x; r $as swapoff -av; r $as swapon --show=NAME,UUID; swapoff x; chmod 600 x; r $as swapon x
truncate -s 8M disk; loop=$(losetup -f --show disk); $MK -q -L devl -U $U $loop; r swapon -L devl; r swapoff -L devl; r swapon -v $loop; r swapon --show; r swapon -s; r mkswap $loop
r swapoff -v UUID=$U; r swapon -v UUID=$U; r swapoff $loop; r swapon -v -U $U -L devl; r swapoff -a -v; losetup -d $loop
r swapon -V; r swapoff --version
