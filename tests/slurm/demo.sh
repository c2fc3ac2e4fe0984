#!/usr/bin/env bash
# The demo through the SLURM profile, its report, and what sacct says of each rule's jobs.
# With a cluster here it is used (ACCOUNT, PARTITION, GPU_PARTITION name its site lines); else a test cluster is started.
set -euo pipefail
cd "$(dirname "$0")/../.."
began=$(date +%FT%T)
if ! timeout 5 sinfo >/dev/null 2>&1; then
    base=$(mktemp -d)
    chmod 755 "$base"
    trap 'tests/slurm/cluster.sh stop "$base"; rm -rf "$base"' EXIT
    PATH=$PATH:/usr/sbin tests/slurm/cluster.sh start "$base"
    ACCOUNT=lab PARTITION=main GPU_PARTITION=cards
fi
gpu=()
for rule in train train_classifier sample uncertainty embed inception attention; do
    gpu+=("$rule:slurm_partition=${GPU_PARTITION:?the partition of the GPUs}")
done
snakemake --profile slurm --configfile config/demo.yaml --slurm-init-seconds-before-status-checks 5 \
    --default-resources "slurm_account=${ACCOUNT:?your account}" "slurm_partition=${PARTITION:?your partition}" \
    "mem_mb=4000 * attempt" "runtime=60 * attempt" \
    --set-resources "${gpu[@]}"
workflow/report/make.sh config/demo.yaml results/demo
sacct -X -P -n --starttime "$began" --format Comment,State,Partition,ReqTRES,Timelimit,ElapsedRaw |
    sed -E 's/_wildcards_[^|]*//' | sort | uniq -c | sort -k2
