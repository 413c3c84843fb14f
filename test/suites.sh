# Suites of test/run.sh, to be sourced at the root. Each prints one line, shows what failed, and adds
# to $passed and $failed.
passed=0
failed=0
logs=build/logs
jobs=$(nproc 2>/dev/null || echo 2)
node_cases=/usr/share/libonnx-testdata/data/node

# report NAME PASSED FAILED START [NOTE]
report() {
    passed=$((passed + $2))
    failed=$((failed + $3))
    [ "$3" -eq 0 ] && word=ok || word=FAILED
    printf '%-7s %-16s %5d passed %4d failed %5d s%s\n' "$word" "$1" "$2" "$3" \
        $(($(date +%s) - $4)) "${5:+  $5}"
}

# show FILE: the end of a log, indented
show() {
    tail -n 40 "$1" | sed 's/^/    /'
}

# build NAME SOURCE FOLDER CMAKE_OPTION... : counts as one test, so that warnings are failures
build() {
    name=$1
    source=$2
    folder=$3
    shift 3
    start=$(date +%s)
    log=$logs/build-$name.log
    if cmake -S "$source" -B "$folder" -G Ninja -DMICA_TESTS=ON "$@" >"$log" 2>&1 &&
        ninja -C "$folder" -k 0 >>"$log" 2>&1; then
        report "build $name" 1 0 "$start"
        return 0
    fi
    report "build $name" 0 1 "$start"
    grep -E -A6 'FAILED|rror:' "$log" | head -n 60 | sed 's/^/    /'
    return 1
}

# check NAME COMMAND... : one test that passes when the command does
check() {
    name=$1
    shift
    start=$(date +%s)
    if timeout 600 "$@" >"$logs/$name.log" 2>&1; then
        report "$name" 1 0 "$start" "$(case $name in layers | length | forbidden) tail -n 1 "$logs/$name.log" ;; esac)"
    else
        report "$name" 0 1 "$start"
        show "$logs/$name.log"
    fi
}

# unit_tests NAME FOLDER FACTOR : the Check programs, several at a time; FACTOR stretches Check's
# time limit of 4 seconds a test
unit_tests() {
    start=$(date +%s)
    folder=$logs/$1
    rm -rf "$folder"
    mkdir -p "$folder"
    ls "$2"/test/test_* | CK_TIMEOUT_MULTIPLIER=$3 xargs -P "$jobs" -I{} sh -c '
        base=$2/$(basename "$1")
        timeout 900 "$1" >"$base.log" 2>&1
        echo $? >"$base.rc"' sh {} "$folder"
    good=0
    bad=0
    broken=
    for rc in "$folder"/*.rc; do
        [ -e "$rc" ] || continue
        log=${rc%.rc}.log
        # "98%: Checks: 50, Failures: 1, Errors: 0"; one line a program
        set -- "$1" $(sed -n 's/.*%: Checks: \([0-9]*\), Failures: \([0-9]*\), Errors: \([0-9]*\).*/\1 \2 \3/p' "$log" | tail -n 1)
        if [ $# -ne 4 ]; then
            bad=$((bad + 1)) # it crashed outside of the tests
            broken="$broken $log"
            continue
        fi
        good=$((good + $2 - $3 - $4))
        bad=$((bad + $3 + $4))
        if [ $(($3 + $4)) -gt 0 ]; then
            broken="$broken $log"
        elif [ "$(cat "$rc")" -ne 0 ]; then
            bad=$((bad + 1)) # a leak, or it fell at the end
            broken="$broken $log"
        fi
    done
    [ $((good + bad)) -gt 0 ] || bad=1
    report "$1" "$good" "$bad" "$start"
    for log in $broken; do
        echo "    $log"
        show "$log"
    done
}

# onnx_nodes NAME FOLDER : the required cases must pass; the others may
onnx_nodes() {
    [ -x "$2/test/onnx_nodes" ] || return 0
    start=$(date +%s)
    log=$logs/$1.log
    timeout 1200 "$2/test/onnx_nodes" --list test/onnx_nodes/required.txt \
        --excluded test/onnx_nodes/excluded.txt $node_cases >"$log" 2>&1
    rc=$?
    good=$(sed -n '$s/^\([0-9]*\) passed, [0-9]* failed$/\1/p' "$log")
    others=$(sed -n '$s/^[0-9]* passed, \([0-9]*\) failed$/\1/p' "$log")
    bad=$(grep -c '^required case failed\|^wrong list' "$log")
    [ "$rc" -eq 0 ] || [ "$bad" -gt 0 ] || bad=1
    report "$1" "${good:-0}" "$bad" "$start" "${others:-0} cases not required"
    [ "$bad" -eq 0 ] || show "$log"
}

# contrib_nodes NAME FOLDER : operators of com.microsoft, all required; other programs requantize in
# another order, so 8-bit results may differ by one
contrib_nodes() {
    [ -x "$2/test/onnx_nodes" ] || return 0
    start=$(date +%s)
    log=$logs/$1.log
    timeout 600 "$2/test/onnx_nodes" --all --units 1 test/onnx_nodes/contrib >"$log" 2>&1
    rc=$?
    good=$(sed -n '$s/^\([0-9]*\) passed, [0-9]* failed$/\1/p' "$log")
    bad=$(sed -n '$s/^[0-9]* passed, \([0-9]*\) failed$/\1/p' "$log")
    [ "$rc" -eq 0 ] && [ "${good:-0}" -gt 0 ] || [ "${bad:-0}" -gt 0 ] || bad=1
    report "$1" "${good:-0}" "${bad:-0}" "$start"
    [ "${bad:-0}" -eq 0 ] || show "$log"
}

# text_tests NAME FOLDER
text_tests() {
    start=$(date +%s)
    log=$logs/$1.log
    lit=$(ls /usr/lib/llvm-*/build/utils/lit/lit.py 2>/dev/null | tail -n 1)
    timeout 1200 python3 "$lit" -sv -j "$jobs" test/lit --param "build=$2" >"$log" 2>&1
    rc=$?
    count() { sed -n "s/^ *\($1\) *: *\([0-9]*\)\$/\2/p" "$log" | awk '{n += $1} END {print n + 0}'; }
    good=$(count 'Passed\|Expectedly Failed')
    bad=$(count 'Failed\|Unresolved\|Timed Out\|Unexpectedly Passed')
    skipped=$(count 'Unsupported')
    [ "$rc" -eq 0 ] && [ $((good + bad)) -gt 0 ] || [ "$bad" -gt 0 ] || bad=1
    report "$1" "$good" "$bad" "$start" "$([ "$skipped" -eq 0 ] || echo "$skipped skipped")"
    [ "$bad" -eq 0 ] || tail -n 100 "$log" | sed 's/^/    /'
}
