#: priority util-linux
mk s
swapon -p 5 s
swapoff s
swapon --priority=10 s
swapoff s
swapon -o pri=7,discard s
echo $?

#: two_with_priorities util-linux
mk a
mk b
swapon -p 5 a
swapon -p 6 b
swapon --show=NAME,PRIO

#: posixly_correct util-linux
mk s
export POSIXLY_CORRECT=1
swapon -p 9 s
echo $?
cat /proc/swaps | wc -l

#: priority_spellings util-linux
mk s
for options in '-p 5' -p0 -p5 '--priority 10' --priority=11 '--prio 12' '-o pri=13' --options=pri=14 '-o defaults,pri=15' '-o sw,nofail,pri=16,discard=pages' '-fp 17' '-vp18'; do
    t swapon $options s
    awk 'NR>1{print $1,$5}' /proc/swaps
    swapoff s
done

#: priority_limits util-linux
mk s
for options in -p-1 '-p -1' -p32767 -p32768 -p40000 -p-2 -p99999999999 '-p 5x' '-p ""' '-o pri=x' '-o pri=-1' '-o pri='; do
    t swapon $options s
    awk 'NR>1{print $1,$5}' /proc/swaps
    swapoff s 2>/dev/null
done

#: priority_busybox
mk s
t swapon -p 5 s
awk 'NR>1{print $1,$5}' /proc/swaps
swapoff s
t swapon -p7 s
awk 'NR>1{print $1,$5}' /proc/swaps

#: options_after_operands util-linux
mk s
t swapon s -p 100
t swapoff s -v
t swapon s -v -p 3
swapoff s
t swapon -- s -p 3
swapoff s

#: discard_spellings util-linux
mk s
for options in -d -donce -dpages --discard --discard=once --discard=pages -d=once -dnope --discard=nope '-d once' '-o discard' '-o discard=once' '-o discard=nope'; do
    t swapon $options s
    swapoff s 2>/dev/null
done

#: discard_takes_no_separate_value util-linux
mk s
t swapon -d s -p 2020
awk 'NR>1{print $1,$5}' /proc/swaps

#: clusters util-linux
mk a; mk b
t swapon -vp 3 a
t swapon -fvp4 b
t swapoff -vv a
t swapon -vd a

#: prefixes util-linux
mk s
t swapon --verb s; swapoff s
t swapon --disc s; swapoff s
t swapon --fix s; swapoff s
t swapon --opt pri=3 s; swapoff s
t swapon --p=4 s; swapoff s
t swapoff --verb s
t swapon --o=pri=3 s; swapoff s 2>/dev/null
printf "/w/s none swap sw\n" >/etc/fstab
t swapon --a; swapoff s 2>/dev/null
t swapon -a --f; swapoff s 2>/dev/null

#: several_with_a_priority util-linux
mk a; mk b; mk c
t swapon -p 8 a b c
swapon --show=NAME,PRIO
t swapoff a b c

#: options_that_do_not_permute util-linux
mk s
export POSIXLY_CORRECT=1
t swapon s -p 9
awk 'NR>1{print $1,$5}' /proc/swaps
t swapoff s -v
t mkswap s -L x

#: options_value_is_a_file util-linux
mk s; mk pri=5
t swapon --options pri=5 s
awk 'NR>1{print $1,$5}' /proc/swaps
t swapon -- pri=5

#: fixpgsz util-linux
mk s
t swapon --fixpgsz s
swapoff s
mkswap -p 8192 s
t swapon s
t swapon --fixpgsz s
t swapon -f nope

#: double_dash
mk ./-a; mk a
t swapon -- -a
t swapon -- a
t swapoff -- -a a


#: newer_options util-linux real
mk s
t swapon --annotate s
t swapon --annotate=never s
swapoff s 2>/dev/null
t swapon --annotate=nope s
swapoff s 2>/dev/null
t swapon --ann s
swapoff s 2>/dev/null
t swapon --output-all s
t swapon --output-all
t swapon --show --output-all
cat /proc/swaps

#: odd_priorities
mk s
for value in x '' 5x -1 0 99999 0x10 1k ' 7' +3; do
    t swapon -p "$value" s 2>/dev/null
    awk 'NR>1{print $1,($5 >= 0 ? $5 : "auto")}' /proc/swaps
    swapoff s 2>/dev/null
done
t swapon -dnope s 2>/dev/null
swapoff s 2>/dev/null
t swapon -p5 -d=pages s 2>/dev/null
awk 'NR>1{print $1,($5 >= 0 ? $5 : "auto")}' /proc/swaps
