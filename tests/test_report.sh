#!/usr/bin/env bash
# `sak report` on a small sweep: the file's data, and, where Chromium is installed, the drawn page.
#   tests/test_report.sh BUILD/sak
set -u
sak=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failed=0
fail() { echo "FAIL: $*"; failed=1; }
has() { grep -qF -- "$2" "$1" || fail "$3: no '$2'"; }
lacks() { ! grep -qF -- "$2" "$1" || fail "$3: '$2' is there"; }

export SAK_DB=$work/sweep.db
cat "$here/fixtures/sweep.sql" "$here/fixtures/report.sql" | "$sak" sql --write - || fail "fixture"
cp "$here/../results/gallery/predictions.png" sheet.png
mkdir -p runs/u1
printf moved >runs/u1/moved.png
truncate -s 5M large.png
"$sak" report router --level 0.999 -o r.html 2>err || fail "report: $(cat err)"
has err "r.html" "the path on stderr"

# --- one file, no network, data that cannot end its element
! grep -qE '(src|href)="?(https?:)?//' r.html || fail "the page loads something"
lacks r.html "@@ " "every placeholder is filled"
lacks r.html "<b id=evil>" "a text of the database is markup"
data() { sed -n '/id="data">/,/^<\/script>/p' r.html; }
data | has /dev/stdin '"question":"Which router is best?"' "question"
data | has /dev/stdin '["student.router.kind",["mor","sum"]]' "settings that differ"
data | lacks /dev/stdin '"batch"' "settings that agree"
data | lacks /dev/stdin '1000000000' "points that a resumed attempt replaced"
data | has /dev/stdin '["multitask/loss","min",null,"mor",null,[[0,2.99,2.49,3.49]' "mean and band over seeds at step 0"
data | has /dev/stdin 'null, "gone.png: cannot open: No such file or directory"]' "a sheet whose file is gone"
data | has /dev/stdin 'large.png: 5242880 bytes, at most 4194304 expected"]' "a sheet that is too large"
data | has /dev/stdin '"data:image/png;base64,iVBORw0KGgo' "a sheet"
data | has /dev/stdin '"data:image/png;base64,bW92ZWQ="' "a sheet whose folder moved with the database"
data | has /dev/stdin '"failures": {"total":1,"rows":[[5,"sum",2,"its process crashed with signal 11; see logs/5"]]}' "trials that failed"
data | has /dev/stdin '"events": {"total":201,"rows":[[3,"warn","nan_loss",7,' "events are counted"
data | has /dev/stdin '["mor",null,"semseg",1,"clip",null]' "a weight that was not finite"
data | has /dev/stdin '["budget",["4503599627370497","8"]]' "all digits of a setting"
data | has /dev/stdin '"notes": [["mor","as \u003ci>published\u003c/i>"]]' "notes of the arms"
data | has /dev/stdin '{"ablations/router.lua": "return edited", "base.lua": "return base"}' "the script of a run"
"$sak" compare router | has /dev/stdin '1 trial ended early or failed' "what the means are of"
"$sak" report 1 -o one.html -q 2>err || fail "report of a run: $(cat err)"
[ ! -s err ] || fail "--quiet said: $(cat err)"
has one.html '"sweep": null' "a run's report is not headed by its sweep"
has one.html '"failures": {"total":0,"rows":[]}' "a run's report tells no failures of its sweep"
"$sak" sql --write "insert into run(id, uid, experiment_id, name, kind, seed, state, attempts, started_us, group_sha256)
    select 900, 'u900', experiment_id, 'a_teacher', 'teacher', 0, 'done', 1, 1, 'g900' from run where id = 1;
    insert into metric_last select 900, id, 9, 1, 1, 2, 2, 9, 2, 9, 2, 1, 0 from metric_key where name = 'multitask/loss'" >out || fail "a teacher"
"$sak" report a_teacher -o teacher.html -q 2>err || fail "report of a run without tasks: $(cat err)"
has teacher.html '"comparison": []' "a run without tasks has nothing to compare"
(mkdir away && cd away && "$sak" report router -o ../away.html -q) || fail "report from another folder"
has away.html '"data:image/png;base64,bW92ZWQ="' "a sheet, seen from another folder"
"$sak" report wide -o wide.html -q || fail "report of many arms"
"$sak" report nobody -o no.html 2>err && fail "report of nothing"
[ ! -e no.html ] || fail "a failed report left a file"
"$sak" report router -o /nowhere/r.html 2>err && fail "report into a folder that is not there"
has err "/nowhere/r.html" "the path that cannot be written"

# --- as a browser draws it
browser=$(command -v chromium || command -v chromium-browser || true)
if [ -z "$browser" ]; then
    echo "note: no Chromium here, so the page itself was not drawn"
else
    draw() { # PAGE MARK: dom.html, once it has the mark: a frame may come late on a busy machine
        for budget in 3000 10000 30000; do
            HOME=$work timeout 60 "$browser" --headless=new --no-sandbox --disable-gpu --window-size=1200,5000 \
                --virtual-time-budget=$budget --dump-dom "file://$work/$1" >dom.html 2>/dev/null || fail "Chromium"
            ! grep -q "$2" dom.html || break
        done
    }
    draw r.html '<canvas'
    has dom.html '<p class="question">Which router is best?</p>' "question drawn"
    has dom.html 'aria-label="Differences from the reference: sum +2' "difference drawn"
    has dom.html '<canvas' "curves drawn"
    has dom.html 'aria-label="multitask/loss by step; last values: mor 2' "curve described"
    has dom.html '>0.75</td>' "router weights drawn"
    has dom.html '&lt;/script&gt;&lt;b id=evil&gt;' "hostile text shown as text"
    has dom.html 'run 1: gone.png: cannot open' "missing sheet named"
    has dom.html '4 finished runs, of 6, 1 failed' "runs that were tried again are not failed ones"
    has dom.html 'its process crashed with signal 11; see logs/5</td>' "failed trials listed"
    has dom.html 'finished runs (first 200 of 201)' "not all events are listed"
    has dom.html 'in brackets 99.9 % Student-t' "level"
    has dom.html 'n is too small to conclude' "the sentence of sak compare"
    has dom.html '1 trial ended early or failed' "what the means are of"
    has dom.html '<td>abc1234 + changes</td>' "uncommitted changes"
    lacks dom.html '>0.00</td>' "a weight that was not finite is drawn"

    has dom.html '<span class="swatch" style="background:var(--arm0)"></span><b>mor</b>: as &lt;i&gt;published' "note of an arm"
    has dom.html '<summary>Script ablations/router.lua</summary><pre>return &lt;/script&gt;&lt;b id=evil&gt;</pre>' "the sweep's script"
    has dom.html '<pre>return edited</pre>' "another version of the script"
    [ "$(grep -o '<summary>Script' dom.html | wc -l)" = 3 ] || fail "equal scripts are shown once"
    has dom.html '<th scope="col">arm</th><th scope="col">verdict</th>' "the verdict comes first"
    has dom.html 'The x axis is the step.' "the axis has a name"

    # One arm: what cannot be compared has no columns, and one seed no fifth digit.
    "$sak" sql --write "delete from metric_last where key_id = 1 and run_id <> 1;
        update metric_last set value = 12.3456 where key_id = 1 and run_id = 1" || fail "one seed"
    "$sak" report 1 -o one.html -q || fail "report of one seed"
    draw one.html '<canvas'
    has dom.html '<th scope="col">arm</th><th scope="col" class="n">seeds</th><th scope="col" class="n">mean</th></tr>' "columns of one arm"
    has dom.html '<td class="n">12.35</td>' "digits of one seed"

    # Many arms; a person hides one, closes a group and changes the theme.
    cat >>wide.html <<'END'
<script>
const all = s => [...document.querySelectorAll(s)];
(function visit() {
  if (!all("canvas").length) return setTimeout(visit, 100);
  const look = () => getComputedStyle(all(".swatch")[0]).backgroundColor, before = look();
  const [group] = all("details[open]"), theme = document.querySelector("header button");
  all(".legend button")[1].click();
  group.open = false;
  theme.focus();
  theme.click();
  document.body.style.width = "375px"; // a phone
  const fits = e => e.getBoundingClientRect().right <= 375, seen = all(".forest svg, .arms tr > :nth-child(2)");
  document.body.dataset.phone = seen.length + " " + seen.every(fits);
  document.body.dataset.after = [all(".legend [aria-pressed=false]").length, group.open, group.isConnected,
    document.activeElement === theme, look() !== before, all(".plot").every(p => p.childElementCount <= 1)].join(" ");
})();
</script>
END
    draw wide.html 'data-after'
    has dom.html '20 arms are too many to draw: below are the first 16; the tables' "no arm is best without a score"
    has dom.html 'repeating-linear-gradient' "the ninth arm has another swatch than the first"
    has dom.html 'stroke-dasharray="6 4"' "the ninth arm has another line than the first"
    has dom.html 'data-phone="37 true"' "differences and verdicts fit a phone"
    has dom.html 'data-after="1 false true true true true"' "the theme changes colours alone"
fi
[ "$failed" = 0 ] && echo "report: as documented"
exit "$failed"
