#!/usr/bin/env bash
# Compares every model that two results directories share, and gathers what a reviewer wants to read:
#
#     bash .github/compare.sh BEFORE AFTER REPORT
#
# REPORT/report.md is the Markdown of `halueval diff` for each model, cut to what a comment can hold; REPORT/MODEL.html
# is its page, REPORT/MODEL.xml its gates. Exit code 1 where a gate failed, 2 where a model's runs could not be compared
# (other scorers, say; the report has the reason): what was not judged has not passed. GATE (default: regression) is the
# condition, HALUEVAL (default: .venv/bin/halueval) the command.
set -euo pipefail

before=$1 after=$2 report=$3
gate=${GATE:-regression}
read -ra halueval <<<"${HALUEVAL:-.venv/bin/halueval}"
# Comments hold 65,536 characters, and a character takes up to four bytes.
most=60000

mkdir -p "$report"
whole=$report/whole.md
pair=$(mktemp -d)
trap 'rm -rf "$pair"' EXIT
ln -s "$(cd "$before" && pwd)" "$pair/before"
ln -s "$(cd "$after" && pwd)" "$pair/after"

failed=0
: >"$whole"
for directory in "$after"/*/; do
    model=$(basename "$directory")
    [ -d "$before/$model" ] || continue
    compgen -G "$before/$model/*/*/run.json" >/dev/null || continue
    compgen -G "$after/$model/*/*/run.json" >/dev/null || continue
    code=0
    "${halueval[@]}" diff "before/$model" "after/$model" --results "$pair" --quiet --fail-on "$gate" \
        --markdown "$pair/model.md" --html "$report/$model.html" --junit "$report/$model.xml" \
        2>"$pair/errors" || code=$?
    case $code in
        0 | 1) cat "$pair/model.md" >>"$whole" ;;
        2) printf '### %s\n\nnot compared:\n\n```text\n%s\n```\n' "${model//[^A-Za-z0-9._+-]/?}" \
            "$(tr -d '`' <"$pair/errors")" >>"$whole" ;;
        *) cat "$pair/errors" >&2 && exit "$code" ;;
    esac
    [ "$code" -le "$failed" ] || failed=$code
    cat "$pair/errors" >&2
done
[ -s "$whole" ] || echo 'No model has runs on both sides: nothing to compare.' >>"$whole"

if [ "$(wc -m <"$whole")" -gt "$most" ]; then
    # Whole lines only, so that no character and no table row is cut in two.
    awk -v most="$most" '{ n += length($0) + 1; if (n > most) exit; print }' "$whole" >"$report/report.md"
    printf '\n</details>\n\nCut here: the rest is in the pages of the artifact.\n' >>"$report/report.md"
else
    cp "$whole" "$report/report.md"
fi
cat "$report/report.md" >>"${GITHUB_STEP_SUMMARY:-/dev/null}"
exit "$failed"
