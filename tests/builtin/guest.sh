# A guest without a swapon of its own: run with the builtin behind the shims, on the root overlay and on plain
# ext4, and compared. What fails here fails the same way; enabling only succeeds, because there a shim is lenient.
for tool in swapon swapoff mkswap; do eval "$tool() { /usr/sbin/$tool \"\$@\"; }"; done # not the shell's own applets
cd /data || exit 1
dd if=/dev/zero of=/swapfile bs=1M count=4 2>/dev/null; chmod 600 /swapfile
r mkswap -L hello -U $U /swapfile; r swapon -v -p 5 /swapfile; swaps; r swapon --show=NAME,TYPE,SIZE,PRIO,UUID,LABEL; r swapon -s
r mkswap /swapfile; r swapoff -v /swapfile; r swapoff /swapfile; swaps
r swapon -av; r swapon -av; swaps; r swapoff -av; r swapon -L hello; swaps; r swapoff -L hello
r rootfs-shim swapon -p 7 /swapfile; swaps; r rootfs-shim swapon --show=NAME; r rootfs-shim swapoff LABEL=hello; r swapon UUID=$U; swaps; r swapoff UUID=$U
dd if=/dev/zero of=rel bs=1M count=4 2>/dev/null; chmod 644 rel; r mkswap -U $U rel; r swapon rel; swaps; r swapoff ./rel; rm rel
r mkswap --file --size 4M -U $U new; ls -l new | cut -c1-10; r swapon new; swaps; r swapoff new; rm new
r swapon -z; r mkswap; r mkswap nofile; r swapoff nofile; r swapoff; r swapon -p x /swapfile; r rootfs-shim mkswap -V
r swapon /swapfile; r swapon --show=NAME --noheadings; r swapoff -a; swaps
