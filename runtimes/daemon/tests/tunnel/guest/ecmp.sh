# Two hypervisors announce one destination: how the third hypervisor spreads packets, and what happens when one of the two goes.
way=vrf
. /guest/hypervisors.sh

# In both families, the destination that h2 and h3 announce.
shared4=10.0.23.100 shared6=fd00:23::100
hypervisor 1 2
hypervisor 2 1
hypervisor 3 1
ip -n h1 route add 2001:db8:0:3::/64 via fd00::3
for n in 1 2 3; do
    machine $n
done
for n in 2 3; do
    ip -n vm$n address add $shared4/32 dev eth0
    ip -n vm$n address add $shared6/128 dev eth0 nodad
    ip -n h$n route add $shared4 dev vm-tap0 table 1023
    ip -n h$n -6 route add $shared6 dev vm-tap0 table 1023
done
server
client 1
for n in 2 3; do
    # No restart time: when the process is gone, its routes are withdrawn.
    client $n --restart-time 0 --announce 23#$shared4/32#2001:db8:0:$n::23 --announce 23#$shared6/128#2001:db8:0:$n::23
done
leads() { # HYPERVISOR
    ip -n h1 route show table 1023 $shared4 | grep -q "dst 2001:db8:0:$1::23" &&
        ip -n h1 -6 route show table 1023 $shared6 | grep -q "dst 2001:db8:0:$1::23"
}
no_longer_leads() { # HYPERVISOR
    ! ip -n h1 route show table 1023 $shared4 | grep -q "dst 2001:db8:0:$1::23" &&
        ! ip -n h1 -6 route show table 1023 $shared6 | grep -q "dst 2001:db8:0:$1::23"
}
await leads 2
await leads 3
for n in 2 3; do
    await_route h1 1023 10.0.23.$n
    await_route h1 1023 fd00:23::$n
    await_route h$n 1023 fd00:23::1
done

# Waits until everything that vm1 has sent to a hypervisor is there: it cannot be overtaken by a packet that is answered.
arrived() { # HYPERVISOR...
    for n in "$@"; do
        ping_once vm1 10.0.23.$n
        ping_once vm1 fd00:23::$n
    done
}
datagrams() { # HYPERVISOR [COUNTER]
    counted vm$1 ${2:-UdpNoPorts Udp6NoPorts}
}
# Sends a datagram to each of 64 ports. Prints how many of them arrived at each of the two.
spread() { # WHAT ADDRESS HYPERVISOR...
    what=$1 address=$2
    shift 2
    before2=$(datagrams 2) before3=$(datagrams 3)
    ip netns exec vm1 bash -c "for port in {1..64}; do echo >/dev/udp/$address/\$port; done"
    arrived "$@"
    saw "$what, at h2" $(($(datagrams 2) - before2))
    saw "$what, at h3" $(($(datagrams 3) - before3))
}
policy() { # FAMILY POLICY
    ip netns exec h1 sysctl -qw net.ipv$1.fib_multipath_hash_policy=$2
}
arrived 2 3
spread 'IPv4, policy 0' $shared4 2 3
spread 'IPv6, policy 0' $shared6 2 3
# A virtual machine's kernel gives each connection a flow label of its own, by default.
ip netns exec vm1 sysctl -qw net.ipv6.auto_flowlabels=0
spread 'IPv6 without flow labels, policy 0' $shared6 2 3
policy 4 1
spread 'IPv4, policy 1' $shared4 2 3
policy 6 1
spread 'IPv6 without flow labels, policy 1' $shared6 2 3
policy 6 2
spread 'IPv6 without flow labels, policy 2' $shared6 2 3
# Source, destination, protocol, and both ports.
ip netns exec h1 sysctl -qw net.ipv6.fib_multipath_hash_fields=0x37
policy 6 3
spread 'IPv6 without flow labels, policy 3 with ports' $shared6 2 3

# The client of one of the two ends, while vm1 goes on sending: each datagram arrives at one of them.
arrived_at_both() { # COUNTER
    echo $(($(datagrams 2 $1) + $(datagrams 3 $1)))
}
before4=$(arrived_at_both UdpNoPorts) before6=$(arrived_at_both Udp6NoPorts)
ip netns exec vm1 bash -c "
    while [ ! -e /tmp/stop ]; do
        for port in {1..16}; do
            echo >/dev/udp/$shared4/\$port
            echo >/dev/udp/$shared6/\$port
            sent=\$((sent + 1))
        done
        echo \$sent >/tmp/sent
        usleep 20000
    done" &
sender=$!
await test -s /tmp/sent
kill -9 $client2
await no_longer_leads 2
sent=$(cat /tmp/sent)
until [ $(cat /tmp/sent) -gt $((sent + 32)) ]; do
    usleep 20000
done
touch /tmp/stop
wait $sender
# What the sender sent last came through h3, and after everything that came through h2.
arrived 3
saw 'lost in IPv4 when a client ends' $(($(cat /tmp/sent) - ($(arrived_at_both UdpNoPorts) - before4)))
saw 'lost in IPv6 when a client ends' $(($(cat /tmp/sent) - ($(arrived_at_both Udp6NoPorts) - before6)))
# Then its hypervisor is gone: what still led there would be lost.
ip -n h2 link set eth0 down
spread 'IPv4 without h2' $shared4 3
spread 'IPv6 without h2' $shared6 3

# A hypervisor with two ways to another one: how it spreads the packets of one tunnel.
ip -n h1 link add eth1 type veth peer name eth1 netns h3
for n in 1 3; do
    ip -n h$n link set eth1 up
    ip -n h$n address add fd01::$n/64 dev eth1 nodad
done
ip -n h1 route replace 2001:db8:0:3::/64 nexthop via fd00::3 dev eth0 nexthop via fd01::3 dev eth1
transmitted() { # DEVICE
    ip netns exec h1 cat /sys/class/net/$1/statistics/tx_packets
}
for policy in 0 1 2 3; do
    policy 6 $policy
    arrived 3
    before0=$(transmitted eth0) before1=$(transmitted eth1)
    ip netns exec vm1 bash -c "for port in {1..64}; do echo >/dev/udp/10.0.23.3/\$port; done"
    arrived 3
    used=0
    # Sessions and neighbour discovery send a few packets, too.
    [ $(($(transmitted eth0) - before0)) -lt 32 ] || used=$((used + 1))
    [ $(($(transmitted eth1) - before1)) -lt 32 ] || used=$((used + 1))
    saw "ways of a tunnel, policy $policy" $used
done
