#!/usr/bin/env bash
# What boot.sh makes of guests that die and of verdicts that differ, without booting one: a program that stands for
# QEMU writes what a guest would have said. Prints TAP.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cache=$work variant=plain build=$work bzimage=none initramfs=none keep=
export BEGIN_TIMEOUT=20 BOOT_TIMEOUT=20
readonly here work cache variant build bzimage initramfs keep
# shellcheck source=tools.sh
. "$here/lib/tools.sh"
# shellcheck source=boot.sh
. "$here/lib/boot.sh"

# The n-th guest says what is in guest.n, and exits as its first line says.
mkdir "$work/bin"
cat >"$work/bin/qemu-system-x86_64" <<'END'
#!/usr/bin/env bash
while [ "$1" != -serial ]; do shift; done
work=$(dirname "$0")/..
n=$(($(cat "$work/booted" 2>/dev/null || echo 0) + 1))
echo "$n" >"$work/booted"
tail -n +2 "$work/guest.$n" >"${2#file:}"
exit "$(head -n 1 "$work/guest.$n")"
END
chmod +x "$work/bin/qemu-system-x86_64"
PATH=$work/bin:$PATH

good=$'0\n@init@ began\n@x@ ok 1 a\n@init@ done'
died=$'0\nint3: 0000 [#1]\nRIP: 0010:sched_clock_cpu+0x9/0x70'
ours=$'0\nOops: 0000\nRIP: 0010:migrate_pin_rust_test_init+0x9/0x70'
later=$'0\n@init@ began\n@x@ ok 1 a\nKernel panic'
stuck=$'1\n@init@ began\n@x@ ok 1 a'

# guests WHAT...: boot until it is over: how often, and how it ended.
guests() {
  local n=0 guest
  rm -f "$work"/guest.* "$work/booted"
  for guest; do
    n=$((n + 1))
    echo "$guest" >"$work/guest.$n"
  done
  (boot test x) >"$work/said" 2>&1 && echo "ended after $(cat "$work/booted")" || echo "failed after $(cat "$work/booted")"
}
is() { [ "$(guests "${@:2}")" = "$1" ]; }
said() { grep -q "$1" "$work/said"; }

check 'a guest that comes to its end is booted once' is 'ended after 1' "$good"
check 'one that dies before process 1 began is booted again' is 'ended after 2' "$died" "$good"
check 'and that is said' said 'before process 1 began.*booting again'
check 'and how it died is shown' said 'sched_clock_cpu'
check 'three times at most' is 'failed after 3' "$died" "$died" "$died" "$good"
check 'not if it names something of ours' is 'failed after 1' "$ours" "$good"
check 'one that dies later is not booted again' is 'failed after 1' "$later" "$good"
check 'nor one that does not switch off by itself' is 'failed after 1' "$stuck" "$good"

# hmm BOOT VERDICTS...: what a boot said of tests t1, t2, ..., with huge pages off and on.
hmm() {
  local boot=$1 n=0 verdict suite
  shift
  for verdict; do
    n=$((n + 1))
    for suite in hmm-never hmm-always; do
      case $verdict in
        pass) echo "@$suite@ ok $n t$n" ;;
        fail) echo "@$suite@ not ok $n t$n" ;;
        skip) echo "@$suite@ ok $n t$n # SKIP" ;;
      esac
    done
  done >"$build/$boot.log"
}
# verdict STOCK CORE: of the last test, over all boots.
last() { verdicts_of hmm-never t2 "$@"; }
same() { same_as_stock "$(last "${stock_boots[@]}")" "$(last "${core_boots[@]}")"; }
differ() { ! same; }
doubtful() { [ -n "$(hmm_doubts)" ]; }
sure() { [ -z "$(hmm_doubts)" ]; }

hmm stock pass pass && hmm core pass pass
check 'the same verdicts are the same' same
check 'and leave no doubt' sure
hmm core pass fail
check 'a test that fails on core only differs' differ
check 'and is tried again' doubtful
hmm core pass skip
check 'so does one that is skipped' differ
hmm core pass
check 'and one that did not run' differ
hmm stock pass fail && hmm core pass fail
check 'one that fails on both is the same' same
check 'but is tried again, since it passes with huge pages off' doubtful
hmm core pass pass
check 'one that fails on stock C only differs' differ
check 'and is tried again, too' doubtful
stock_boots=(stock stock-again) core_boots=(core core-again)
hmm stock-again pass pass && hmm core-again pass pass
check 'it is the same if stock C passes it in the second boot' same
hmm stock-again pass fail
check 'not if stock C fails it in both' differ
hmm stock pass pass && hmm stock-again pass pass && hmm core pass fail
check 'what core failed once and stock C never is not forgiven' differ
hmm stock-again pass fail
check 'what stock C fails as well is the same' same

echo "1..$tests"
[ "$failed" -eq 0 ]
