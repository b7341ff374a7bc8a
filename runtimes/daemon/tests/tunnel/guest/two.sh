# Two hypervisors: packets in both families, what has no destination, a virtual machine that arrives, restarts, and the MTU.
. /guest/hypervisors.sh

hypervisor 1 2
hypervisor 2 1
machine 1
machine 2
server
# Longer than any restart here.
client 1 --restart-time 600
client 2 --restart-time 600
await_route h1 1023 fd00:23::2
await_route h2 1023 fd00:23::1
await_route h1 1023 10.0.23.2
await_route h2 1023 10.0.23.1
ping_once vm1 10.0.23.2
ping_once vm1 fd00:23::2
saw 'packets through the tunnel' "$(ip netns exec h2 cat /sys/class/net/in-23/statistics/rx_packets)"

# Sends one packet from vm1 and prints what came back: an answer, an error, or nothing. The answer to a second packet, which is small
# and takes the same way, shows that nothing more will come.
comes_back() { # WHAT FAMILY PING-ARGUMENTS...
    what=$1
    if [ $2 = 4 ]; then
        answer=IcmpInEchoReps errors=IcmpInDestUnreachs other=10.0.23.2
    else
        answer=Icmp6InEchoReplies errors='Icmp6InDestUnreachs Icmp6InPktTooBigs' other=fd00:23::2
    fi
    shift 2
    answers_before=$(counted vm1 $answer) errors_before=$(counted vm1 $errors)
    ip netns exec vm1 ping -q -c 1 -W 0.1 "$@" >/dev/null 2>&1 || true
    ping_once vm1 $other
    back=nothing
    [ $(counted vm1 $answer) = $((answers_before + 1)) ] || back=answer
    [ $(counted vm1 $errors) = $errors_before ] || back=error
    saw "$what" $back
}
# Without the last route of the table, these would leave by the main table.
comes_back 'IPv4 to an address without a route' 4 10.0.23.99
comes_back 'IPv6 to an address without a route' 6 fd00:23::99

# A virtual machine arrives, while another hypervisor still announces its address.
device() { # ADDRESS FROM
    ip -n h1 route get $1 from $2 iif vm-tap0 | sed -n 's/.* dev \([^ ]*\).*/\1/p' | head -n 1
}
saw 'IPv4 before it arrives' "$(device 10.0.23.2 10.0.23.1)"
saw 'IPv6 before it arrives' "$(device fd00:23::2 fd00:23::1)"
ip -n h1 route add 10.0.23.2 dev vm-tap0 table 1023
ip -n h1 -6 route add fd00:23::2 dev vm-tap0 table 1023
await grep -q '10.0.23.2/32 in table 1023 has no effect' /log/h1
await grep -q 'fd00:23::2/128 in table 1023 has no effect' /log/h1
saw 'IPv4 after it arrived' "$(device 10.0.23.2 10.0.23.1)"
saw 'IPv6 after it arrived' "$(device fd00:23::2 fd00:23::1)"
ip -n h1 route del 10.0.23.2 dev vm-tap0 table 1023
ip -n h1 -6 route del fd00:23::2 dev vm-tap0 table 1023

# Restarts, while virtual machines go on sending.
ip netns exec vm1 ping -O -i 0.05 10.0.23.2 >/log/ping-4 &
ping4=$!
ip netns exec vm1 ping -O -i 0.05 fd00:23::2 >/log/ping-6 &
ping6=$!
reported() { # FAMILY
    grep -c 'icmp_seq=' /log/ping-$1 || true
}
# Waits until each ping has reported five more packets, answered or not.
go_on() {
    until_4=$(($(reported 4) + 5)) until_6=$(($(reported 6) + 5))
    until [ $(reported 4) -ge $until_4 ] && [ $(reported 6) -ge $until_6 ]; do
        usleep 50000
    done
}
sessions() { # HYPERVISOR NUMBER
    [ $(grep -c 'ESTABLISHED' /log/h$1) -ge $2 ]
}
go_on
kill -9 $server
await grep -q RETRY /log/h1
await grep -q RETRY /log/h2
go_on
server
await sessions 1 2
await sessions 2 2
go_on
kill -9 $client1
go_on
client 1 --restart-time 600
await sessions 1 1
go_on
kill -9 $client2
go_on
client 2 --restart-time 600
await sessions 2 1
go_on
# Answers to earlier packets come before the answers to these.
ping_once vm1 10.0.23.2
ping_once vm1 fd00:23::2
kill -INT $ping4 $ping6
wait $ping4 $ping6 || true
# A packet that was under way when ping ended is not counted.
for family in 4 6; do
    saw "lost in IPv$family" "$(sed -n 's/.*icmp_seq=\([0-9]*\) .*time=.*/\1/p' /log/ping-$family | awk '{ lost += $1 - last - 1; last = $1 } END { print lost }')"
done

# The tunnel device and the virtual machines have 1460: the largest packet passes. One byte more, of a machine with another MTU, does not.
forget_mtu() {
    ip -n vm1 route flush cache
    ip -n vm1 -6 route flush cache
}
comes_back 'IPv4 of 1460 bytes' 4 -M do -s 1432 10.0.23.2
comes_back 'IPv6 of 1460 bytes' 6 -M do -s 1412 fd00:23::2
ip -n vm1 link set eth0 mtu 1500
comes_back 'IPv4 of 1461 bytes' 4 -M do -s 1433 10.0.23.2
saw 'the MTU that the error has' "$(ip -n vm1 route get 10.0.23.2 | sed -n 's/.* mtu \([0-9]*\).*/\1/p')"
comes_back 'IPv6 of 1461 bytes' 6 -M do -s 1413 fd00:23::2
# The tunnel device has 1500, on an underlay of 1500: what is too large for the underlay is lost.
ip -n h1 link set overlay-tun mtu 1500
forget_mtu
comes_back 'IPv4 of 1461 bytes, with a device of 1500' 4 -M do -s 1433 10.0.23.2
comes_back 'IPv6 of 1461 bytes, with a device of 1500' 6 -M do -s 1413 fd00:23::2
# With an underlay of 1540, all that virtual machines of 1500 send passes.
ip -n underlay link set br0 mtu 1540
for n in 1 2; do
    ip -n underlay link set port$n mtu 1540
    ip -n h$n link set eth0 mtu 1540
    ip -n h$n link set overlay-tun mtu 1500
    ip -n h$n link set vm-tap0 mtu 1500
    ip -n vm$n link set eth0 mtu 1500
done
forget_mtu
comes_back 'IPv4 of 1500 bytes, on an underlay of 1540' 4 -M do -s 1472 10.0.23.2
comes_back 'IPv6 of 1500 bytes, on an underlay of 1540' 6 -M do -s 1452 fd00:23::2
