#!/usr/bin/env bash
# The demo through the SLURM profile as it is shipped, its report, and what sacct says of each rule's jobs.
# With a cluster here it is used, and further arguments go to Snakemake; else a test cluster of this machine's size is started.
set -euo pipefail
cd "$(dirname "$0")/../.."
began=$(date +%FT%T)
if ! timeout 5 sinfo >/dev/null 2>&1; then
    base=$(mktemp -d)
    chmod 755 "$base"
    trap 'tests/slurm/cluster.sh stop "$base"; rm -rf "$base"' EXIT
    NODE_CPUS=$(nproc) NODE_MB=$(awk '/MemTotal/{print int($2 / 1024) - 512}' /proc/meminfo)
    export NODE_CPUS NODE_MB
    PATH=$PATH:/usr/sbin tests/slurm/cluster.sh start "$base"
fi
snakemake --profile slurm --configfile config/demo.yaml --slurm-init-seconds-before-status-checks 5 "$@"
workflow/report/make.sh config/demo.yaml results/demo
sacct -X -P -n --starttime "$began" --format Comment,State,Partition,ReqTRES,Timelimit |
    sed -E 's/_wildcards_[^|]*//; s/billing=[0-9]+,//; s/,node=[0-9]+//' | sort | uniq -c | sort -k2
