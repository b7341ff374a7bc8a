# The example of docs/data-plane.md, as it is written.
. /guest/lib.sh
. /docs/example
for n in 1 2; do
    for vni in 23 42; do
        saw "packets of VNI $vni on h$n" "$(ip netns exec h$n cat /sys/class/net/in-$vni/statistics/rx_packets)"
    done
done
# The documentation's end of the example.
kill $(pidof metalbond)
wait
for namespace in $(ip netns list | cut -d ' ' -f 1); do
    ip netns del "$namespace"
done
saw 'namespaces left' "$(ip netns list | wc -l)"
