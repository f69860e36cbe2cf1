#!/bin/sh
# leftovers.sh RUN_DIR: names, a line each, what the nodes with this run directory ($XO_RUN_DIR)
# have left behind: processes, files, sockets that are bound, segments in /dev/shm. Exit status 1
# if there is anything. Call it without XO_RUN_DIR in the environment, or it would find itself.
[ $# -eq 1 ] || {
    echo "usage: leftovers.sh RUN_DIR" >&2
    exit 2
}
dir=$1
user=$(id -u)

processes() {
    for environ in /proc/[0-9]*/environ; do
        [ -r "$environ" ] || continue
        pid=${environ#/proc/}
        pid=${pid%/environ}
        if tr '\0' '\n' <"$environ" 2>/dev/null | grep -Fxq -e "XO_RUN_DIR=$dir"; then
            echo "process $pid $(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null)"
        fi
    done
}

files() { [ ! -d "$dir" ] || find "$dir" -mindepth 2 -printf 'file %p\n'; }

sockets() { awk -v dir="$dir/" '$NF != "" && index($NF, dir) == 1 { print "socket " $NF }' /proc/net/unix; }

segments() { find /dev/shm -maxdepth 1 -user "$user" -name 'xo-*' -printf 'segment %p\n' 2>/dev/null; }

found=$(processes 2>/dev/null; files; sockets; segments)
[ -z "$found" ] && exit 0
printf '%s\n' "$found"
exit 1
