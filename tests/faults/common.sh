# Sourced by sweep_faults and sweep_trials with $sak, $kind, $root and $tmp set: builds the shim, knows what
# fails how, and counts through the n.
declare -A errno=([malloc]=12 [mmap]=12 [write]=28 [open]=24) # ENOMEM, ENOSPC, EMFILE; else EIO
what=$kind stick=
case $kind in
    full) what=write stick=1 ;;
    memory) what=malloc stick=1 ;;
esac
cc -shared -fPIC -O1 -fno-omit-frame-pointer -o "$tmp/shim.so" "$root/tests/faults/shim.c" -ldl || exit 77
unset SAK_DB
! grep -q __tsan_init "$sak" || { echo "skipped: the thread sanitizer stands in the shim's place"; exit 77; }
# A build with the address sanitizer: what it finds, a leak too, ends the program with a status of its own.
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0:exitcode=99:fast_unwind_on_malloc=1 UBSAN_OPTIONS=exitcode=99

faulty() { # folder, seconds, command …: with the n-th call on the folder's files failing
    local folder=$1 seconds=$2
    shift 2
    env LD_PRELOAD="$tmp/shim.so" SAK_FAULT="$what" SAK_FAULT_AT="$n" SAK_FAULT_BELOW="$folder" \
        ${stick:+SAK_FAULT_STICK=1} SAK_FAULT_HIT="$tmp/hit" SAK_FAULT_ERRNO="${errno[$what]:-5}" \
        timeout -s KILL "$seconds" "$@"
}

sites() { # folder, command …: the n of the first allocation of every distinct chain of callers
    local folder=$1
    shift
    ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 LD_PRELOAD="$tmp/shim.so" SAK_FAULT=malloc \
        SAK_FAULT_BELOW="$folder" SAK_FAULT_SITES="$tmp/sites" "$@" > "$tmp/out" 2>&1 || { cat "$tmp/out"; exit 1; }
    sort -nu -o "$tmp/sites" "$tmp/sites"
}

numbers() { # the n to try: from, step, to
    if [ "$1" = sites ]; then
        awk -v step="$2" -v to="$3" 'NR % step == 0 && $1 <= to' "$tmp/sites"
    else
        seq "$1" "$2" "$3"
    fi
}
