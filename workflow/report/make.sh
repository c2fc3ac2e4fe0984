#!/usr/bin/env bash
# Write <results>/report.html for a study, unless it is newer than everything it shows.
# Usage: workflow/report/make.sh CONFIG RESULTS
set -euo pipefail
config=$1 results=$2
report=$results/report.html
shown=()
for folder in figures tables; do
    [ -d "$results/$folder" ] && shown+=("$results/$folder")
done
if [ -e "$report" ] && [ -z "$(find "${shown[@]}" workflow/report -newer "$report" -type f -print -quit)" ]; then
    echo "$report is up to date."
    exit
fi
echo "Writing $report ..."
log=$results/logs/report.log
snakemake --configfile "$config" --report "$results/.report.html" >"$log" 2>&1 ||
    { tail -n 20 "$log" >&2; echo "FAILED    the report; its log is $log" >&2; exit 1; }
mv "$results/.report.html" "$report"
echo "Open $report in a browser."
