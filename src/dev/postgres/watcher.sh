# Outlives the processes that share the server, and stops it soon after the last of them has gone, however it went.
# It watches the claims and not the server: that may crash and be started again meanwhile.
claims=$1 stopping=$2 data=$3 own_name=$4 linger=$5 signal=$6 disposable=$7
trap '' HUP INT
idle=0

# <process id> [<start>]: whether it lives, is no zombie and, where the kernel tells, is the one that started then.
alive() {
  [ -d /proc/self ] || { kill -0 "$1" 2>/dev/null; return; }
  stat=
  read -r stat <"/proc/$1/stat" || [ -n "$stat" ] || return 1
  # The fields after the program's name, which may hold spaces: the state first, the start as the twentieth.
  set -- "$2" ${stat##*) }
  case $2 in Z | X | '') return 1 ;; esac
  [ -z "$1" ] || [ "$1" = "${21}" ]
}

# Whether a claim names a living process: <process id>-<start>-<number>. The others are removed.
claimed() {
  found=1
  for claim in "$claims"/*; do
    [ -e "$claim" ] || continue
    name=${claim##*/}
    process=${name%-*}
    if alive "${process%-*}" "${process#*-}"; then found=0; else rm -f "$claim"; fi
  done
  return $found
}

# Whether the process that the server's lock file names is this server and not one that got its number later.
find_server() {
  server=
  read -r server <"$data/postmaster.pid" || return 1
  alive "$server" '' || return 1
  if [ -e "/proc/$server/cwd" ]; then
    [ "/proc/$server/cwd" -ef "$data" ]
  else
    case $(cat "/proc/$server/comm" || ps -o comm= -p "$server") in *postgres*) return 0 ;; esac
    return 1
  fi
}

stop() {
  if find_server; then
    kill -s "$signal" "$server"
    while alive "$server" ''; do sleep 0.05; done
  fi
  # Put aside first: on a busy disk it takes minutes to remove, and somebody may be waiting to start the next server.
  if [ "$disposable" = yes ] && [ -d "$data" ]; then mv "$data" "$data.gone.$$"; fi
  # In this order: who finds `stopping` gone must not take us for a watcher that stays.
  rm -f "$own_name"
  rmdir "$stopping"
  rm -rf "$data".gone.*
}

# When the whole folder was removed, Postgres notices by itself and ends, too.
while [ -d "$claims" ]; do
  if claimed; then
    idle=0
  elif [ "$idle" -lt "$linger" ]; then
    idle=$((idle + 1))
  elif mkdir "$stopping"; then
    # Whoever claims the server does it before looking for `stopping`, so one of us sees the other.
    if claimed; then
      rmdir "$stopping"
    else
      stop
      exit
    fi
  fi
  sleep 1
done
