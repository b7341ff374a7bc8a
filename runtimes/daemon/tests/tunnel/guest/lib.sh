# What the scenarios have in common. Each prints what it saw as lines `= WHAT: VALUE`, which the test compares. Nothing here has a deadline
# but the guest as a whole.

saw() { # WHAT VALUE
    echo "= $1: $2"
}
# Waits until a command succeeds.
await() { # COMMAND...
    until "$@" >/dev/null 2>&1; do
        usleep 50000
    done
}
routes_have() { # NAMESPACE TABLE TEXT
    { ip -n $1 route show table $2; ip -n $1 -6 route show table $2; } | grep -q "$3"
}
await_route() { # NAMESPACE TABLE TEXT
    await routes_have "$@"
}
# Runs a command in a network namespace. Several times cheaper than `ip netns exec`, with the commands of busybox.
inside() { # NAMESPACE COMMAND...
    netns=/run/netns/$1
    shift
    busybox nsenter --net=$netns -- busybox "$@"
}
# Waits for one answer.
ping_once() { # NAMESPACE ADDRESS
    inside $1 ping -q -c 1 -W 300 $2 >/dev/null
}
# Prints the sum of counters of the kernel, which have the names that `nstat` gives them.
counted() { # NAMESPACE COUNTER...
    namespace=$1
    shift
    inside $namespace awk -v wanted=" $* " '
        # Two lines for each protocol: the names, and the values.
        /:/ && $1 != protocol { protocol = $1; split($0, names); next }
        /:/ {
            prefix = " " substr(protocol, 1, length(protocol) - 1)
            for (i = 2; i <= NF; i++)
                if (index(wanted, prefix names[i] " "))
                    sum += $i
            next
        }
        index(wanted, " " $1 " ") { sum += $2 }
        END { print sum + 0 }' /proc/net/snmp /proc/net/snmp6
}
