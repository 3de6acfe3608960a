# The first process of the hosts' namespaces (hosts.rs): when its input ends, it ends, and with it everything in them.
# FOLDER GROUP COUNT, and more arguments for the engines.
#
# Networks are routed, since not every machine lets a namespace have NAT: host I has 10.(100+I).0.0/16.
set -e
# It kills whatever it sees in the end.
[ $$ = 1 ] || exit 1
folder=$1 group=$2 count=$3
shift 3
ip link set lo up
ip link add hosts type bridge
ip addr add 10.77.0.1/24 dev hosts
ip link set hosts up
# A containerd of this machine's would run the containers outside.
[ ! -d /run/containerd ] || mount -t tmpfs none /run/containerd
for i in $(seq "$count"); do
  mkdir "$folder/$i"
  : >"$folder/$i/network"
  unshare --net="$folder/$i/network" true
  ip link add "host$i" type veth peer name eth0 netns "$folder/$i/network"
  ip link set "host$i" master hosts up
  ip route add "10.$((100 + i)).0.0/16" via "10.77.0.$((10 + i))"
  printf '{"deprecated-key-path": "%s/key.json"}\n' "$folder/$i" >"$folder/$i/daemon.json"
  nsenter --net="$folder/$i/network" sh -e -c '
    ip link set lo up
    ip addr add "10.77.0.$((10 + $1))/24" dev eth0
    ip link set eth0 up
    for other in $(seq "$2"); do
      [ "$other" = "$1" ] || ip route add "10.$((100 + other)).0.0/16" via "10.77.0.$((10 + other))"
    done
  ' sh "$i" "$count"
done
set +e
echo ready
while read -r word i; do
  case $word in
    start)
      home=$folder/$i
      : >"$home/wanted"
      # One that ends by itself is started again: right after a crash it may find what is left of the one before.
      while [ -e "$home/wanted" ]; do
        rm -f "$home/pid"
        nsenter --net="$home/network" dockerd --config-file "$home/daemon.json" --data-root "$home/data" \
          --exec-root "$home/exec" --pidfile "$home/pid" --iptables=false --ip6tables=false \
          --default-address-pool "base=10.$((100 + i)).0.0/16,size=24" --cgroup-parent "$group/$i" \
          -H "unix://$home/docker.sock" -H "tcp://10.77.0.$((10 + i)):2375" --tls=false "$@" >>"$home/log" 2>&1
        sleep 0.2
      done &
      eval "engine$i=$!"
      ;;
    kill)
      rm "$folder/$i/wanted"
      kill -9 "$(cat "$folder/$i/pid")"
      eval "wait \$engine$i"
      ;;
  esac
done
# The test is over, or gone: everybody else here ends, and what they have left goes.
kill -9 -1
for _ in $(seq 50); do
  awk -v folder="$folder/" 'index($2, folder) == 1 { print $2 }' /proc/mounts | sort -r | xargs -r umount -l 2>/dev/null
  find /sys/fs/cgroup -depth -type d -path "*$group*" -exec rmdir {} + 2>/dev/null
  rm -rf "$folder" 2>/dev/null
  [ -d "$folder" ] || find /sys/fs/cgroup -maxdepth 2 -path "*$group" | grep -q . || break
  sleep 0.1
done
