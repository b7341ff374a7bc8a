#!/usr/bin/env bash
# Runs a Debian package where it is meant to run: boots Debian 12 in a container of systemd, without a network, installs the package,
# starts its units, and looks whether they do what they are there for. As root, with systemd-container and mmdebstrap:
#   packaging/boot.sh FILE.deb
# shellcheck disable=SC2016 # What is in single quotes is for the shell inside.
set -euo pipefail
deb=$(realpath "$1")
work=$(mktemp --directory)
root=$work/root

finish() {
  # The container's own shutdown, by its first process.
  if [[ -n ${nspawn:-} ]]; then
    kill -s TERM "$nspawn" 2>/dev/null || true
    wait "$nspawn" || true
  fi
  rm -rf "$work"
}
trap finish EXIT

mmdebstrap --quiet --variant=minbase --include=systemd,systemd-sysv,dbus,iproute2,man-db bookworm "$root"
printf '127.0.0.1 localhost\n::1 localhost\n' >"$root/etc/hosts"
cp "$deb" "$root/root/metalbond.deb"
systemd-nspawn --quiet --directory="$root" --boot --register=no --keep-unit --private-network --capability=CAP_NET_ADMIN \
  --machine="metalbond-$$" >"$work/console" 2>&1 </dev/null &
nspawn=$!

inside() {
  nsenter --target "$leader" --mount --uts --ipc --net --pid --cgroup -- env -i PATH=/usr/sbin:/usr/bin LC_ALL=C bash -c "$1"
}
# until_true WHAT COMMAND: it becomes true within half a minute.
until_true() {
  for _ in $(seq 150); do
    if inside "$2" >/dev/null 2>&1; then
      printf 'ok: %s\n' "$1"
      return
    fi
    sleep 0.2
  done
  printf 'not ok: %s\n' "$1" >&2
  inside 'systemctl --no-pager --lines=30 status "metalbond*"; ip route show table 1023' >&2 || true
  exit 1
}
for _ in $(seq 150); do
  leader=$(pgrep --parent "$nspawn" || true)
  [[ -n $leader ]] && break
  sleep 0.2
done
until_true 'the container is up' 'systemctl is-system-running | grep -Eqx "running|degraded"'

inside 'dpkg --install /root/metalbond.deb'
until_true 'nothing is started by installing it' '! systemctl is-active --quiet "metalbond*"'
until_true 'the program and its manual are there' 'metalbond --version && man --where metalbond-server'
until_true 'units of the reference find the program, and the directory that they run in' \
  '[ "$(readlink -f /usr/sbin/metalbond)" = /usr/bin/metalbond ] && /usr/sbin/metalbond --version && [ -d /usr/share/metalbond ]'

# This kernel may have no ip6tnl: one end of a cable does as well. Everything else of the unit stays.
inside 'ip link add try0 type ip6tnl external 2>/dev/null && ip link del try0' || {
  echo 'without ip6tnl: a veth pair stands for the tunnel device'
  mkdir -p "$root/etc/systemd/system/metalbond-tunnel.service.d"
  sed -n '/^\[Service\]/p; s/type ip6tnl mode any external ttl 64/type veth peer name overlay-far/; /^ExecStart=/p' \
    "$root/usr/lib/systemd/system/metalbond-tunnel.service" |
    sed '/^\[Service\]/a ExecStart=' >"$root/etc/systemd/system/metalbond-tunnel.service.d/veth.conf"
  inside 'systemctl daemon-reload'
}
inside 'cat >/etc/metalbond/metalbond.toml' <<'SETTINGS'
[server]
http = "127.0.0.1:4712"
[client]
server = ["localhost:4711"]
http = "127.0.0.1:4713"
subscribe = [23]
announce-file = "announcements"
install-routes = ["23#1023"]
tun = "overlay-tun"
SETTINGS
inside 'echo "23#10.0.23.9/32#2001:db8::9" >/etc/metalbond/announcements'
inside 'systemctl start metalbond-tunnel metalbond-server metalbond-client'
inside 'ip link set overlay-far up 2>/dev/null || true'
until_true 'server, client and device are there' \
  '[ "$(systemctl is-active metalbond-tunnel metalbond-server metalbond-client | sort -u)" = active ]'
until_true 'the device is set up' 'ip link show dev overlay-tun | grep -q "mtu 1500.*state UP\|mtu 1500.*state UNKNOWN"'
until_true 'the server is another user without a right' \
  'grep -q "^CapBnd:.0000000000000000" /proc/$(systemctl show -p MainPID --value metalbond-server)/status'
until_true 'the client is another user with one right' \
  'p=/proc/$(systemctl show -p MainPID --value metalbond-client)
   [ "$(stat --format %U $p)" = metalbond ] && grep -q "^CapBnd:.0000000000001000" $p/status'
until_true 'systemd shows the status' 'systemctl show -p StatusText metalbond-client | grep -q "1 of 1 peers established"'

inside 'metalbond client --server localhost:4711 --announce "23#10.0.23.1/32#2001:db8::1" --restart-time 60 >/dev/null 2>&1 &'
route='ip route show table 1023 | grep -q "^10.0.23.1 .*dst 2001:db8::1 .*dev overlay-tun proto metalbond"'
until_true 'a route comes into the kernel, by the name of its protocol' "$route"
inside 'echo "23#10.0.23.8/32#2001:db8::9" >>/etc/metalbond/announcements; systemctl reload metalbond-client'
until_true 'a reload takes up what is new' 'metalbond show routes | grep -q 10.0.23.8/32'

inside 'systemctl kill --signal=KILL metalbond-client'
until_true 'a client that died is started again' '[ "$(systemctl show -p NRestarts --value metalbond-client)" = 1 ]'
until_true 'and its routes are there' "$route"
inside 'mkdir -p /run/systemd/system/metalbond-server.service.d
  printf "[Service]\nWatchdogSec=2\n" >/run/systemd/system/metalbond-server.service.d/soon.conf
  systemctl daemon-reload; systemctl restart metalbond-server'
until_true 'a server with a watchdog of two seconds is up' 'metalbond show peers | grep -q ESTABLISHED'
inside 'kill -STOP $(systemctl show -p MainPID --value metalbond-server)'
until_true 'a server that hangs is started again' '[ "$(systemctl show -p NRestarts --value metalbond-server)" = 1 ]'

inside 'cp /etc/metalbond/metalbond.toml /root; echo "nonsense = 1" >>/etc/metalbond/metalbond.toml'
inside 'systemctl restart metalbond-client || true'
until_true 'bad settings are not tried again' \
  '[ "$(systemctl show -p ActiveState,ExecMainStatus,NRestarts --value metalbond-client | xargs)" = "0 2 failed" ]'
inside 'cp /root/metalbond.toml /etc/metalbond/; systemctl start metalbond-client'

inside 'systemctl stop metalbond-server; systemctl start metalbond-server.socket'
until_true 'the first connection to its socket starts the server' 'systemctl is-active metalbond-server'
until_true 'the client is back' 'metalbond show peers | grep -q ESTABLISHED'

device=$(inside 'cat /sys/class/net/overlay-tun/ifindex')
old=$(inside 'systemctl show -p MainPID --value metalbond-client')
inside 'dpkg --install /root/metalbond.deb'
until_true 'an upgrade restarts the client' \
  "[ \$(systemctl show -p MainPID --value metalbond-client) != $old ] && systemctl is-active metalbond-client"
until_true 'and leaves the device' "[ \$(cat /sys/class/net/overlay-tun/ifindex) = $device ]"
until_true 'and the routes' "$route"

# The device of this route is not of the package, so that the route does not go with it.
inside 'ip link add own-tun up type veth peer name own-far; ip link set own-far up
  ip -6 nexthop add id 2000000099 dev own-tun encap ip6 dst 2001:db8::2 protocol 254
  ip route add 10.0.24.1 nhid 2000000099 table 1024 proto 254'
inside 'systemctl enable metalbond-tunnel metalbond-client metalbond-server; dpkg --purge metalbond'
until_true 'a purge stops everything' '! systemctl is-active --quiet "metalbond*" && [ ! -e /sys/class/net/overlay-tun ]'
until_true 'and leaves only what it did not bring' \
  '[ "$(find /etc /usr /var/lib -name "*metalbond*" | grep -v "^/etc/metalbond$\|tunnel.service.d$")" = "" ]'
until_true 'and no route' '[ "$(ip route show table all proto 254; ip -6 route show table all proto 254; ip nexthop show proto 254)" = "" ]'
