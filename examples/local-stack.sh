#!/usr/bin/env bash
#
# fms as workers on one machine, to look at: private RabbitMQ, Redis and PostgreSQL with two databases, all four
# workers, and the bundled sample through them. What is started listens on the loopback only, keeps its data in a
# temporary directory, and ends with this script.
#
#     examples/local-stack.sh
#
# Exit code: 0 something fired; 1 nothing did, or something failed; 2 a program is missing.

set -euo pipefail
umask 077

readonly PATIENCE=60 # seconds for which a condition is waited for
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root sample=$root/src/fms/demo
dir='' workers=() servers=() last=() names=() missing=()

say() { printf '\n%s\n' "$*"; }

die() {
    printf 'local-stack: %s\n' "$*" >&2
    exit "${code:-1}"
}

# What is needed

newest() { compgen -G "$1" | sort -V | tail -n 1; }

need() { # PROGRAM PACKAGE
    command -v "$1" >/dev/null || missing+=("$(basename "$1") (Debian package $2)")
}

find_programs() {
    # The scripts on PATH switch to the system's users and folders; those in the packages' own folders do as told.
    rabbitmq=$(newest '/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin' || true)
    postgres=$(newest '/usr/lib/postgresql/*/bin' || true)
    PATH=$PATH:$root/.venv/bin
    need setpriv util-linux
    need epmd erlang-base
    need "${rabbitmq:-/none}/rabbitmq-server" rabbitmq-server
    need redis-server redis-server
    need "${postgres:-/none}/postgres" postgresql
    need "${postgres:-/none}/createdb" postgresql-client
    local one
    for one in "${missing[@]}"; do printf 'local-stack: missing: %s\n' "$one" >&2; done
    command -v fms >/dev/null || { code=2 die "fms is not installed: make demo, or pip install ."; }
    [[ ${#missing[@]} == 0 ]] || { code=2 die "install what is missing with apt-get"; }
}

# Starting, waiting, stopping

start() { # GROUP NAME COMMAND…: in the background, until this script ends, however it does
    local -n group=$1
    local name=$2
    shift 2
    # In a session of its own: Ctrl-C is for this script alone, which then stops everything in its order. Should this
    # script be killed, it is too.
    setsid setpriv --pdeathsig KILL -- "$@" </dev/null >"$dir/$name.out" 2>"$dir/$name.log" &
    group+=($!)
    names[$!]=$name
}

wait_for() { # WHAT COMMAND…: until the command succeeds
    local what=$1 deadline=$((SECONDS + PATIENCE)) pid
    shift
    until "$@" >/dev/null 2>&1; do
        for pid in "${!names[@]}"; do
            kill -0 "$pid" 2>/dev/null || die "${names[pid]} ended"
        done
        ((SECONDS < deadline)) || die "not within $PATIENCE s: $what"
        sleep 0.2
    done
}

end() { # PID…: ask them all to end, and wait until they have
    local pid tries deadline=$((SECONDS + PATIENCE))
    for pid; do kill -TERM "$pid" 2>/dev/null || true; done
    for pid; do
        for ((tries = 1; ; tries++)); do
            sleep 0.1
            kill -0 "$pid" 2>/dev/null || break
            # RabbitMQ does not hear it while it starts.
            ((tries % 50)) || kill -TERM "$pid" 2>/dev/null || true
            ((SECONDS < deadline)) || kill -KILL "$pid" 2>/dev/null || true
        done
    done
}

stop() {
    local status=$?
    trap '' INT TERM
    [[ -z $dir || $status != 1 ]] || tail -n 3 "$dir"/*.log >&2
    end "${workers[@]}" # before the servers that they need
    end "${servers[@]}"
    end "${last[@]}" # RabbitMQ would start another epmd
    [[ -z $dir ]] || rm -rf "$dir"
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

choose_ports() { # ten in a row that nobody has, from below those that the system gives to clients
    local port taken
    while :; do
        first_port=$((11000 + RANDOM % 2000 * 10)) taken=''
        for ((port = first_port; port < first_port + 10; port++)); do
            if listens "$port"; then taken=$port; fi
        done
        [[ -n $taken ]] || return 0
    done
}

# The servers

start_rabbitmq() {
    mkdir "$dir/rabbitmq"
    cat >"$dir/rabbitmq/rabbitmq.conf" <<-CONF
	listeners.tcp.1 = 127.0.0.1:$((first_port + 1))
	default_user = fms
	default_pass = $STACK_PASSWORD
	disk_free_limit.absolute = 50MB
	log.file = false
	log.console = true
	CONF
    printf '[].' >"$dir/rabbitmq/plugins"
    : >"$dir/rabbitmq/env"
    # Erlang would start its own epmd and leave it behind.
    local erlang=("ERL_EPMD_PORT=$first_port" ERL_EPMD_ADDRESS=127.0.0.1 "HOME=$dir/rabbitmq")
    start last epmd env "${erlang[@]}" epmd
    wait_for "epmd listens" listens "$first_port"
    start servers rabbitmq env "${erlang[@]}" \
        RABBITMQ_NODENAME=fms@localhost RABBITMQ_DIST_PORT=$((first_port + 2)) \
        "RABBITMQ_CONFIG_FILE=$dir/rabbitmq/rabbitmq.conf" "RABBITMQ_CONF_ENV_FILE=$dir/rabbitmq/env" \
        "RABBITMQ_ENABLED_PLUGINS_FILE=$dir/rabbitmq/plugins" "RABBITMQ_MNESIA_BASE=$dir/rabbitmq/data" \
        "RABBITMQ_LOG_BASE=$dir/rabbitmq" "RABBITMQ_PID_FILE=$dir/rabbitmq/pid" ERL_CRASH_DUMP=/dev/null \
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='+S 1:1 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}' \
        RUNNING_UNDER_SYSTEMD=true "$rabbitmq/rabbitmq-server"
}

start_redis() {
    mkdir "$dir/redis"
    cat >"$dir/redis/redis.conf" <<-CONF
	bind 127.0.0.1
	port $((first_port + 3))
	dir $dir/redis
	requirepass $STACK_PASSWORD
	maxmemory-policy noeviction
	appendonly yes
	CONF
    start servers redis redis-server "$dir/redis/redis.conf"
}

start_postgres() {
    local as=() owner
    mkdir "$dir/postgres"
    printf '%s' "$STACK_PASSWORD" >"$dir/postgres/password"
    if [[ $EUID == 0 ]]; then # PostgreSQL refuses to run as root
        owner=$(getent passwd postgres nobody | head -n 1 | cut -d : -f 3,4)
        as=(setpriv "--reuid=${owner%:*}" "--regid=${owner#*:}" --clear-groups --pdeathsig QUIT --)
        chown -R "$owner" "$dir/postgres"
        chmod 711 "$dir"
    fi
    (cd "$dir/postgres" && "${as[@]}" "$postgres/initdb" --pgdata=data --username=fms --pwfile=password \
        --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --no-sync >initdb.out)
    start servers postgres "${as[@]}" "$postgres/postgres" -D "$dir/postgres/data" -p $((first_port + 4)) \
        -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c dynamic_shared_memory_type=mmap \
        -c max_locks_per_transaction=128
    wait_for "PostgreSQL answers" create_database a
    create_database b
}

create_database() { PGPASSWORD=$STACK_PASSWORD "$postgres/createdb" -h 127.0.0.1 -p $((first_port + 4)) -U fms "$1"; }

# What the workers say of themselves

answer() { # PORT PATH
    (exec 3<>"/dev/tcp/127.0.0.1/$1" && printf 'GET %s HTTP/1.0\r\n\r\n' "$2" >&3 && cat <&3) 2>/dev/null
}

count() { # METRIC PORT…: added up over the processes of a worker
    local metric=$1 port
    shift
    for port; do answer "$port" /metrics; done | awk -v metric="$metric" \
        'index($1, metric) == 1 { sum += $2 } END { print sum + 0 }'
}

has_done() { # MESSAGES PORT…
    [[ $(count 'fms_messages_total{outcome="done"' "${@:2}") -ge $1 ]]
}

is_ready() { answer "$1" /readyz | grep -q '^ready'; }

all_is_told() {
    fms notifications list --json >"$dir/fired" && ! grep -Eq '"status": "(pending|sending)"' "$dir/fired"
}

# The whole

trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

find_programs
dir=$(mktemp -d "${TMPDIR:-/tmp}/fms-stack.XXXXXX")
choose_ports

unset "${!FMS_@}" # settings of some other site
STACK_PASSWORD=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
export STACK_PASSWORD FMS_DATA=$dir/fms
export FMS_BROKER_URL="amqp://fms:$STACK_PASSWORD@127.0.0.1:$((first_port + 1))"
export FMS_PRICE_BOOK_URL="redis://:$STACK_PASSWORD@127.0.0.1:$((first_port + 3))/0"
export FMS_CATALOG_URL="postgresql://fms:\${STACK_PASSWORD}@127.0.0.1:$((first_port + 4))/a"

say "Starting RabbitMQ, Redis and PostgreSQL in $dir, on ports $first_port to $((first_port + 4)) ..."
start_rabbitmq
start_redis
start_postgres
wait_for "Redis listens" listens $((first_port + 3))
wait_for "RabbitMQ listens" listens $((first_port + 1))

say "A site with two shards (fms init), its queues (fms queues declare) and the bundled alerts (fms alerts import):"
fms init --shard "a=$FMS_CATALOG_URL" --shard "b=${FMS_CATALOG_URL%/a}/b"
fms queues declare
fms alerts import "$sample/alerts.jsonl" --user local@localhost
say "What fms doctor thinks of all this (its last line):"
fms doctor | tail -n 1

price=$((first_port + 5)) price_too=$((first_port + 6)) alert=$((first_port + 7)) notify=$((first_port + 8))
say "Starting the workers: price in two processes, alert, notify and ingest ..."
mkdir "$dir/inbox"
start workers price fms worker price --processes 2 --metrics-port $price
start workers alert fms worker alert --metrics-port $alert
start workers notify fms worker notify --clock newest --metrics-port $notify
start workers ingest fms worker ingest --follow "$dir/inbox" --metrics-port $((first_port + 9))
for port in $price $price_too $alert $notify; do wait_for "the worker at port $port is ready" is_ready "$port"; done

say "Putting the bundled fares where ingest looks for them, and waiting until all is told ..."
cp "$sample/fares.jsonl.gz" "$dir/inbox/.fares" && mv "$dir/inbox/.fares" "$dir/inbox/fares.jsonl.gz"
wait_for "ingest is through" test -e "$dir/inbox/done/fares.jsonl.gz"
# What one worker published is what the next has done, when all is done.
fares=$(sed -n 's/.*fares published.* messages=\([0-9]*\).*/\1/p' "$dir/ingest.log")
wait_for "price is through" has_done "$fares" $price $price_too
changes=$(count fms_published_total $price $price_too)
wait_for "alert is through" has_done "$changes" $alert
rows=$(count fms_published_total $alert)
wait_for "notify is through" has_done "$rows" $notify
wait_for "all is told" all_is_told

say "$fares messages of fares became $changes of changes and $rows of what fired. This was told:"
cat "$dir/notify.out"
say "What fired, and what became of it (fms notifications list):"
fms notifications list
say "The queues that are not empty: a rejected document (fms queues status):"
fms queues status --seconds 0.2
say "What a worker says of itself (port $price: /readyz, and some of /metrics):"
answer $price /readyz | tail -n 1
answer $price /metrics | grep -E '^fms_(messages|rows|published)_total|^fms_stage_rows'

say "$(wc -l <"$dir/fired") rows fired. Stopping everything ..."
[[ -s $dir/fired ]] || die "nothing fired"
