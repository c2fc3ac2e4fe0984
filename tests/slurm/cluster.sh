#!/usr/bin/env bash
# A real single-node SLURM for tests: munge, MariaDB, slurmdbd, slurmctld and slurmd, without systemd.
#   cluster.sh start FOLDER     root on Debian, with the packages slurm-wlm slurmdbd munge mariadb-server
#   cluster.sh stop FOLDER
# Its two GPUs are /dev/null and /dev/zero: they are counted and granted like real ones. The node claims 8 CPUs and
# 1 TB whatever the machine has (NODE_CPUS, NODE_MB say otherwise), so that the rules' own resources can be asked for.
# Memory is watched by polling. The partitions bear the names of the shipped profile; the GPUs' ends at four hours.
set -euo pipefail
what=${1:?start or stop}
base=${2:?a folder for the state of the cluster}
host=$(hostname -s)
config=/etc/slurm # srun inside a job drops SLURM_CONF: the configuration must be where SLURM looks by itself
socket=/run/munge/munge.socket.2
mark=.cluster-of-tests

end() { # end PIDFILE: ask, wait ten seconds, insist
    [ -s "$1" ] || return 0
    local pid
    pid=$(cat "$1")
    kill "$pid" 2>/dev/null || return 0
    for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || return 0; sleep 0.1; done
    kill -9 "$pid" 2>/dev/null || true
}

runs() { [ -s "$1" ] && kill -0 "$(cat "$1")" 2>/dev/null; } # runs PIDFILE

stop() {
    if [ "$(readlink "$config/slurm.conf")" = "$base/slurm.conf" ]; then # never another cluster's jobs
        timeout 5 scancel -u root 2>/dev/null || true
        sleep 0.5
    fi
    for daemon in slurmd slurmctld slurmdbd; do end "$base/run/$daemon.pid"; done
    [ -S "$base/db/mysql.sock" ] &&
        timeout 20 mariadb-admin --no-defaults -S "$base/db/mysql.sock" shutdown 2>/dev/null
    end "$base/db/mysql.pid"
    end "$base/munge/munged.pid"
    for file in slurm gres slurmdbd; do
        [ "$(readlink "$config/$file.conf")" = "$base/$file.conf" ] && rm -f "$config/$file.conf"
    done
    return 0
}

until_true() { # until_true SECONDS COMMAND...
    local tries=$(($1 * 10))
    shift
    for _ in $(seq "$tries"); do "$@" >/dev/null 2>&1 && return 0; sleep 0.1; done
    echo "gave up waiting for: $*" >&2
    return 1
}

leave_others_alone() { # only the links of a test cluster that has died are taken over
    local file link
    for file in slurm gres slurmdbd; do
        [ -e "$config/$file.conf" ] || continue
        link=$(readlink "$config/$file.conf" || true)
        if [ -e "$(dirname "$link")/$mark" ] && ! runs "$(dirname "$link")/run/slurmctld.pid"; then continue; fi
        echo "$config/$file.conf belongs to another cluster, which is left alone: ${link:-a file}" >&2
        exit 1
    done
}

start_munge() {
    munge -n 2>/dev/null | unmunge >/dev/null 2>&1 && return # one runs here already: it is used and left running
    install -d -m 711 -o munge -g munge "$base/munge" /run/munge
    chmod 755 /run/munge
    head -c 1024 /dev/urandom >"$base/munge/munge.key"
    chown munge:munge "$base/munge/munge.key"
    chmod 400 "$base/munge/munge.key"
    runuser -u munge -- /usr/sbin/munged --socket="$socket" --key-file="$base/munge/munge.key" --force \
        --pid-file="$base/munge/munged.pid" --log-file="$base/munge/munged.log" --seed-file="$base/munge/seed"
}

start_database() {
    install -d -m 755 -o mysql -g mysql "$base/db"
    mariadb-install-db --no-defaults --user=mysql --datadir="$base/db/data" --skip-test-db >"$base/log/db.log" 2>&1
    mariadbd --no-defaults --user=mysql --datadir="$base/db/data" --socket="$base/db/mysql.sock" \
        --pid-file="$base/db/mysql.pid" --skip-networking --innodb-buffer-pool-size=64M \
        --innodb-lock-wait-timeout=900 --log-error="$base/log/mariadb.log" >/dev/null 2>&1 </dev/null &
    until_true 120 mariadb-admin --no-defaults -S "$base/db/mysql.sock" ping
    mariadb --no-defaults -S "$base/db/mysql.sock" -e "create database slurm_acct_db;
        create user 'slurm'@'localhost' identified by 'slurm'; grant all on slurm_acct_db.* to 'slurm'@'localhost';"
}

write_config() {
    cat >"$base/slurmdbd.conf" <<END
AuthType=auth/munge
AuthInfo=socket=$socket
DbdHost=localhost
DbdPort=16819
SlurmUser=root
LogFile=$base/log/slurmdbd.log
PidFile=$base/run/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
END
    chmod 600 "$base/slurmdbd.conf"
    cat >"$base/slurm.conf" <<END
ClusterName=tests
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$socket
CryptoType=crypto/munge
SlurmctldPort=16817
SlurmdPort=16818
StateSaveLocation=$base/state
SlurmdSpoolDir=$base/spool
SlurmctldPidFile=$base/run/slurmctld.pid
SlurmdPidFile=$base/run/slurmd.pid
SlurmctldLogFile=$base/log/slurmctld.log
SlurmdLogFile=$base/log/slurmd.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0,sched_min_interval=0
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
OverTimeLimit=0
KillWait=60
MinJobAge=300
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
AccountingStoragePort=16819
AccountingStorageTRES=gres/gpu
AccountingStoreFlags=job_comment
JobCompType=jobcomp/none
GresTypes=gpu
NodeName=$host NodeAddr=127.0.0.1 CPUs=${NODE_CPUS:-8} Boards=1 SocketsPerBoard=1 CoresPerSocket=${NODE_CPUS:-8} ThreadsPerCore=1 RealMemory=${NODE_MB:-1000000} Gres=gpu:2 State=UNKNOWN
PartitionName=cpu Nodes=$host Default=YES MaxTime=1-00:00:00 State=UP
PartitionName=gpu Nodes=$host Default=NO MaxTime=04:00:00 State=UP
END
    echo "Name=gpu File=/dev/null,/dev/zero" >"$base/gres.conf"
    mkdir -p "$config"
    for file in slurm gres slurmdbd; do ln -sfn "$base/$file.conf" "$config/$file.conf"; done
}

start_slurm() {
    MYSQL_UNIX_PORT=$base/db/mysql.sock /usr/sbin/slurmdbd
    until_true 120 timeout 3 sacctmgr -i -n list cluster
    sacctmgr -i add cluster tests >/dev/null
    sacctmgr -i add account lab Description=tests Organization=tests >/dev/null
    sacctmgr -i add user root Account=lab DefaultAccount=lab >/dev/null
    /usr/sbin/slurmctld -c
    /usr/sbin/slurmd -N "$host"
    until_true 120 sh -c '[ "$(sinfo -h -o %T -p cpu)" = idle ]'
}

if [ "$what" = stop ]; then
    stop
elif [ "$what" = start ]; then
    leave_others_alone
    unset SLURM_CONF
    mkdir -p "$base"/{run,log,state,spool}
    touch "$base/$mark"
    chmod 755 "$base" "$base"/*
    write_config
    start_munge
    start_database
    start_slurm
    sinfo -o '%P %T %c %m %G'
else
    echo "start or stop, not $what" >&2
    exit 2
fi
