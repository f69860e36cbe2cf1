# machines.sh - machines out of namespaces, for system tests in bash that need several. Sourced
# before lib.sh: it runs the test again as the first process of namespaces that end with it.
#
# A machine has a network, processes, a host name, /run and changes to /etc, /usr, /var and the
# build tree of its own. They reach each other at 192.0.2.N, and by name. $bin holds programs that
# only they see.
if [ -z "${XO_T_MACHINES:-}" ]; then
    machines=(unshare --net --mount --pid --fork --kill-child --mount-proc)
    probe='mount -t tmpfs -o mode=755 tmpfs /run && cd /run && mkdir upper work &&
        mount -t overlay -o lowerdir=/etc,upperdir=upper,workdir=work overlay /etc &&
        ip link add probe type veth'
    reason=$("${machines[@]}" sh -c "$probe" 2>&1) || {
        echo "1..0 # SKIP there can be no namespaces: $reason"
        exit 0
    }
    XO_T_MACHINES=1 exec "${machines[@]}" "$0" "$@"
fi

declare -A machine=() # the first process of each

# What a machine's first process does: $0 is the machine's name, $1 the build tree. That is another
# one for each, since what is done there (make install) would be in the way of other tests.
# shellcheck disable=SC2016
be_machine='
set -e
hostname "$0"
mount -t tmpfs tmpfs /mnt
for dir in /etc /opt /usr /var "$1"; do
    own=/mnt/$(echo "$dir" | tr / _)
    mkdir -p "$own/upper" "$own/work"
    mount -t overlay -o "lowerdir=$dir,upperdir=$own/upper,workdir=$own/work" overlay "$dir"
done
cp /run/hosts /etc/hosts
mount -t tmpfs -o mode=755 tmpfs /run
touch /run/is-on
sleep infinity & # and whoever has lost its parent is waited for by bash
wait $!'

# Before the first power_on; the names of all.
lay_cables() {
    local number=0 name
    bin=$work/bin
    mkdir -p "$bin" && mount -t tmpfs -o mode=755 tmpfs /run && mkdir /run/netns || return
    ip link set lo up && ip link add cables type bridge && ip link set cables up || return
    echo "127.0.0.1 localhost" >/run/hosts
    for name; do
        number=$((number + 1))
        echo "192.0.2.$number $name.example $name" >>/run/hosts
        ip netns add "$name" &&
            ip link add "$name" type veth peer name eth0 netns "$name" &&
            ip link set "$name" master cables up &&
            ip -n "$name" addr add "192.0.2.$number/24" dev eth0 &&
            ip -n "$name" link set lo up && ip -n "$name" link set eth0 up || return
    done
}

power_on() {
    ip netns exec "$1" env -i PATH="$PATH" \
        unshare --mount --uts --ipc --pid --fork --kill-child --mount-proc \
        bash -c "$be_machine" "$1" "$XO_BUILDDIR" 2>"$work/machine-$1" &
    until_true is_on "$1" $! || bail_out "machine $1: $(cat "$work/machine-$1")"
}

# is_on MACHINE PARENT
is_on() {
    machine[$1]=$(tr -d ' ' <"/proc/$2/task/$2/children")
    [ -n "${machine[$1]}" ] && on "$1" test -e /run/is-on
}

# on MACHINE CMD...: as root there, with nothing of this environment.
on() {
    local path=$bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    nsenter --target "${machine[$1]}" --mount --uts --ipc --net --pid \
        env -i LC_ALL=C.UTF-8 HOME=/root PATH="$path" "${@:2}"
}

# Lets machines run commands on one another: t/fake/ssh.
serve_ssh() {
    mkdir "$bin/ssh.spool" && mkfifo "$bin/ssh.spool/calls" || return
    ln -s "$XO_SRCDIR/t/fake/ssh" "$bin" || return
    while read -r call; do
        answer_ssh "$call" &
    done <>"$bin/ssh.spool/calls" &
}

answer_ssh() {
    local host status=0
    read -r host <"$1/host"
    exec 3>"$1/out"
    on "$host" bash -c "$(cat "$1/command")" <"$1/in" >&3 2>&1 3>&- || status=$?
    echo "$status" >"$1/status"
}
