# Hypervisors, each with one virtual machine of VNI 23, set up by the commands of docs/data-plane.md: with a VRF if $way is vrf, with
# `ip rule`s if it is rules.
. /guest/lib.sh
. /docs/example-functions

# Runs commands of the documentation, which are written for the first hypervisor, with what is different on another one.
as_written() { # HYPERVISOR FILE [SED-COMMAND]
    sed "s/10\.0\.23\.1/10.0.23.$1/; s/fd00:23::1/fd00:23::$1/; s/2001:db8:0:1::/2001:db8:0:$1::/; $3" "/docs/$2" >/tmp/commands
    ip netns exec "h$1" sh -ex /tmp/commands
}
machine() { # HYPERVISOR
    ip netns exec h$1 sysctl -qp /docs/receiving-2
    ip netns add vm$1
    ip -n h$1 link add vm-tap0 up type veth peer name eth0 netns vm$1
    if [ $way = vrf ]; then
        as_written $1 table-1
        as_written $1 receiving-1
    else
        as_written $1 table-2
        as_written $1 receiving-1 's/ master vrf-23//'
        as_written $1 table-2 's/vm-tap0/in-23/'
    fi
    as_written $1 table-3
    as_written $1 table-4
    ip -n h$1 -batch - <<EOF
address add 169.254.0.1/32 dev vm-tap0
address add fe80::1/64 dev vm-tap0 nodad
EOF
    ip -n vm$1 -batch - <<EOF
link set eth0 mtu 1460 up
address add 10.0.23.$1/32 dev eth0
route add 169.254.0.1 dev eth0
route add default via 169.254.0.1
address add fd00:23::$1/128 dev eth0 nodad
route add default via fe80::1 dev eth0
EOF
}
server() {
    ip netns exec underlay metalbond server --restart-time-max 600 >>/log/server 2>&1 &
    server=$!
}
# Starts the client of a hypervisor, whose log is /log/hHYPERVISOR.
client() { # HYPERVISOR ARGUMENTS...
    n=$1
    shift
    ip netns exec h$n metalbond client --server '[fd00::100]:4711' --subscribe 23 --install-routes 23#1023 --tun overlay-tun \
        --announce 23#10.0.23.$n/32#2001:db8:0:$n::23 --announce 23#fd00:23::$n/128#2001:db8:0:$n::23 "$@" >/log/h$n 2>&1 &
    eval client$n=$!
}
