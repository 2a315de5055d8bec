/* The verb table: the one source of dispatch, help, suggestions and completion. */
#include "cli/verbs.h"

const sak_verb sak_verbs[] = {
    {"run", "FILE", 1, 1, "set db threads unsafe-lua quiet", true,
     "train what a script describes, record everything",
     "Reads an experiment script, checks all of it before anything runs, then trains, evaluates\n"
     "and records every metric in the results database.  Teachers the script needs and the cache\n"
     "lacks are trained first; of an ablation all trials are run, as `sak sweep` does.\n"
     "\n"
     "Ctrl-C, SIGTERM or SIGUSR1 end it after the current step, with a checkpoint: `sak resume` goes\n"
     "on.  The exit status is 130 then, 75 (try again) after SIGUSR1, which batch systems send before\n"
     "the end of a job.  A second Ctrl-C exits at once.\n"
     "\n"
     "  sak run experiments/three_teachers.lua\n"
     "  sak run experiments/three_teachers.lua --set seed=1\n"
     "  sak run experiments/three_teachers.lua --set student.adapter.down_ratio=8 --db try.db\n"
     "  sak run experiments/three_teachers.lua --set 'teachers[name=sam].weight=0.5'\n"
     "\n"
     "--set takes any path of the configuration (`sak check FILE --json` prints it all).  A value\n"
     "is a number, true, false, or text.  A path that does not exist is an error with a\n"
     "suggestion; +path=v adds a key, '~path' removes one.\n"
     "\n"
     "Scripts run in a sandbox: no files, processes, network, time or randomness, and limits on\n"
     "memory and work.  --unsafe-lua lifts it for a script you trust; the run is tagged unsafe_lua.",
     sak_verb_lua},
    {"sweep", "FILE", 1, 1, "set grid seeds jobs retry fail-fast keep-going new db threads unsafe-lua json quiet",
     false, "run all trials of an ablation: arms, grid, seeds",
     "Expands an ablation script into trials (arms x grid x seeds, or points that a sampler proposes),\n"
     "checks every one, stores them, and runs them in processes of their own.  What is stored is what\n"
     "runs: editing the script changes nothing that is queued.  Results do not depend on --jobs.\n"
     "\n"
     "  sak sweep ablations/router.lua --jobs 2\n"
     "  sak sweep ablations/router.lua --seeds 8         goes on to eight seeds per arm\n"
     "  sak sweep ablations/router.lua --retry failed\n"
     "  sak sweep experiments/three_teachers.lua --grid student.adapter.rank=8,16,32 --seeds 3\n"
     "  sak sweep ablations/router.lua --set data.train=400 --new\n"
     "\n"
     "Run again, it continues: finished trials are not repeated, interrupted ones go on from their\n"
     "latest checkpoint.  Ctrl-C ends the current trials after their step, with a checkpoint; a second\n"
     "Ctrl-C exits at once.  Nothing that has finished is ever lost, not even with kill -9.  A script\n"
     "that has changed is refused and the differences are shown: --new begins another sweep,\n"
     "`sak resume` continues the stored one.  A copy of the script is a sweep of its own, known to\n"
     "`sak compare` and the others by its file's name too.\n"
     "\n"
     "Trials whose first stage is the same train it once; with --set cache=true what teachers compute of\n"
     "an image is computed once, too.  `sak help cache` says how.",
     sak_verb_lua},
    {"stop", "SWEEP", 1, 1, "now db", false, "pause a sweep that runs elsewhere",
     "Asks the process that runs a sweep to end once its current trials are done; with --now they end\n"
     "after their current step, with a checkpoint.  `sak resume` goes on.\n"
     "\n"
     "  sak stop router\n"
     "  sak stop @last --now",
     sak_verb_lua},
    {"resume", "RUN|SWEEP", 1, 1, "seeds jobs retry fail-fast keep-going db threads unsafe-lua json quiet", false,
     "go on with an interrupted run, or with a sweep",
     "Continues a run that was stopped, killed or failed from its latest checkpoint, bit for bit as if\n"
     "nothing had happened, on any number of threads; or a sweep.  Both go on as they are stored,\n"
     "whatever has become of their scripts since.  RUN is an id, a name or a prefix of a uid; SWEEP\n"
     "its name, or its script's name or file (the latest such sweep); @last is what began last.\n"
     "\n"
     "  sak resume @last\n"
     "  sak resume 17 --threads 8\n"
     "  sak resume router --jobs 2 --seeds 8\n"
     "\n"
     "A run saves a checkpoint once a minute and at the end of every stage; checkpoint = { … } in its\n"
     "script says otherwise.  A damaged one is put aside and the one before it used.",
     sak_verb_lua},
    {"replay", "RUN", 1, 1, "steps db threads unsafe-lua json quiet", false,
     "do a stored run again and compare every metric",
     "Builds the run from what the database holds of it (script, modules, overrides, teachers by their\n"
     "hash, data by theirs), runs it in a folder of its own that is removed afterwards, and compares\n"
     "every metric at every step, but for what depends on the clock (units s, images/s, GFLOP/s).  On\n"
     "the same kernels for the CPU all are equal bit for bit, for any --threads; on others up to 1 %.\n"
     "The first difference is named.  Exit status 1 when there is one.\n"
     "\n"
     "  sak replay @last\n"
     "  sak replay 17 --steps 20         the first 20 steps are enough to see most differences\n"
     "  sak replay 17 --threads 1 --json",
     sak_verb_lua},
    {"retry", "SWEEP", 1, 1, "jobs fail-fast keep-going db threads unsafe-lua json quiet", false,
     "run the failed trials of a sweep again",
     "The same as `sak resume SWEEP --retry failed`.\n"
     "\n"
     "  sak retry router",
     sak_verb_lua},
    {"trial", "ID UID PARENT", 3, 3, "db threads unsafe-lua quiet", false, NULL,
     "One trial of a sweep, as `sak sweep` starts it.", sak_verb_lua},
    {"check", "FILE", 1, 1, "set db threads unsafe-lua json quiet", true,
     "size, FLOPs and memory of a script, without training",
     "Validates a script as `run` would and prints what it would build: parameters per part (stem,\n"
     "adapters, aligners, routers, heads), FLOPs per image and the planned peak memory.\n"
     "\n"
     "  sak check experiments/three_teachers.lua\n"
     "  sak check experiments/three_teachers.lua --set student.stem.depth=6\n"
     "\n"
     "Exit status 2 and all errors at once, with file and line, when the script is wrong.",
     sak_verb_lua},
    {"ls", "[NAME]", 0, 1, "sweeps db limit json csv", true, "the runs, newest first",
     "Lists runs: id, name (of a sweep's run \"sweep: arm\"), seed, state, when, how long, steps, and the\n"
     "metric that stands for each task.  NAME picks some: the name of a run, an experiment or a sweep,\n"
     "or of a sweep's script, * and ? allowed, or a state.  With --sweeps it lists the sweeps: script,\n"
     "state, trials done of all, failed ones, objective, when begun.\n"
     "\n"
     "  sak ls\n"
     "  sak ls 'three_*' --limit 5\n"
     "  sak ls failed\n"
     "  sak ls router                    the runs of that sweep\n"
     "  sak ls --sweeps\n"
     "  sak ls --csv > runs.csv          one column per metric, all runs\n"
     "  sak ls --json | jq '.[0]'",
     sak_verb_ls},
    {"show", "RUN", 1, 1, "db json", true, "one run: settings, metrics, router weights, provenance",
     "Prints what a run left: where it came from (script, commit, machine, command line), its\n"
     "settings, task metrics, all final metrics, router weights per task and level, attempts,\n"
     "events, and the files it wrote.\n"
     "\n"
     "  sak show @last\n"
     "  sak show 17\n"
     "  sak show three_teachers          the latest run of that name\n"
     "  sak show @last-1 --json          everything, with the whole configuration and the script",
     sak_verb_show},
    {"compare", "[NAME...]", 0, -1, "db metric level json csv", false,
     "is one arm better than another, and how sure is that?",
     "Holds the arms of a sweep against its first one, or the configurations of several runs against\n"
     "the first named, over all their seeds: mean and t interval per arm, paired difference with its\n"
     "interval, permutation test by seed, Holm's correction, and a plain word on what that shows.\n"
     "NAME is a sweep's, or its script's name or file.  Without arguments: the latest sweep.  Within a\n"
     "grid, arms are compared cell by cell.\n"
     "\n"
     "  sak compare router\n"
     "  sak compare 12 17                every seed of run 12's configuration against run 17's\n"
     "  sak compare router --metric 'val/semseg/*'\n"
     "  sak compare router --csv > router.csv\n"
     "\n"
     "Metrics: those that stand for a task, and delta_m where single-task runs allow it; --metric\n"
     "takes any by name.",
     sak_verb_compare},
    {"report", "[NAME...]", 0, -1, "db out metric level quiet", false,
     "one HTML page about a sweep or some runs",
     "Writes a single HTML file that needs no network: the question, the table with intervals,\n"
     "learning curves per arm with bands over seeds, router weights, prediction sheets, the notes on the\n"
     "arms and the settings in which they differ, where the runs came from, and the scripts.  NAME as\n"
     "for `sak compare`; one run is enough.  Without NAME: the latest sweep.  Of more than 16 arms the\n"
     "table has all, and the best by the sweep's objective are drawn.\n"
     "\n"
     "  sak report router -o router.html\n"
     "  sak report @last -o run.html\n"
     "\n"
     "--out is report.html where it is not given.",
     sak_verb_report},
    {"sql", "[QUERY]", 0, 1, "db limit timeout json csv write", true,
     "ask the results database anything",
     "Runs a query against the results database and prints its rows.  Reads from standard input\n"
     "when there is no QUERY, or QUERY is -; on a terminal it lists the views instead, each with a\n"
     "query to start from.  Read-only unless --write.\n"
     "\n"
     "  sak sql\n"
     "  sak sql \"select run, metric, value from finals where metric glob 'val/*'\"\n"
     "  sak sql --csv < query.sql > table.csv\n"
     "  sak sql --write \"delete from event where level = 'info'\"\n"
     "\n"
     "Tables on screen stop at 1000 rows (--limit), any query after 60 s (--timeout).  --write\n"
     "runs all statements in one transaction and prints nothing.",
     sak_verb_sql},
    {"db", "ACTION [FILE]", 1, 2, "db files quiet", false, "check, back up or repair the results database",
     "check   holds the database against itself: integrity, foreign keys, tables and views as this sak\n"
     "        makes them, summaries and their points, offsets and spools, stored texts and hashes;\n"
     "        with --files also that what runs wrote is there and has its hash\n"
     "backup  writes a consistent copy while runs go on, to FILE or beside the database\n"
     "repair  after a backup: ingests spools of dead runs, rebuilds summaries, views and indexes; a\n"
     "        damaged file is read row by row into a new one, and kept\n"
     "\n"
     "  sak db check --files\n"
     "  sak db backup /mnt/backup/sak.db\n"
     "  sak db repair\n"
     "\n"
     "Exit status 1 when check finds a problem, each on a line of its own.",
     sak_verb_db},
    {"verify", "DIR...", 1, -1, "cross threads json quiet", false,
     "hold the engine against a reference dump",
     "Builds the model a dump describes, loads its weights, and compares features, losses,\n"
     "gradients and parameters after optimiser steps with the stored ones, tensor by tensor.  A\n"
     "dump is config.json, model.safetensors, inputs.safetensors and expected.safetensors.\n"
     "\n"
     "  sak verify ../shared/reference/fixtures/a_s1_two_teachers\n"
     "\n"
     "  sak verify --cross f64 DIR       the same in double\n"
     "  sak verify --json DIR            every tensor, not only those that fail\n"
     "\n"
     "Exit status 1 when a tensor is further off than float rounding explains, and when nothing in\n"
     "the model answers to a stored tensor.  --cross f64 repeats everything on the engine built in\n"
     "double: then what is left beyond the rounding of the stored float32 values is at most 1e-9 of\n"
     "a tensor's largest element, so that what fails in float alone is rounding, and what fails in\n"
     "both is a mistake.  scripts/dump_reference.py writes dumps of your own PyTorch models and\n"
     "describes the format.",
     sak_verb_verify},
    {"data", "check|show DIR|SCRIPT", 2, 2, "split limit out augment set db threads json quiet", false,
     "is a data set whole, and does it look right?",
     "check reads every sample: counts, sizes, class histograms, value ranges, and every file that is\n"
     "missing, broken, or not of its image's size; labels whose image is not there are counted.  show\n"
     "draws samples, one row each.\n"
     "\n"
     "  sak data check ../shared/data/nyud-160\n"
     "  sak data check experiments/nyud_two_teachers.lua --json\n"
     "  sak data show ../shared/data/nyud-160 -n 8 -o sheet.png\n"
     "  sak data show experiments/nyud_two_teachers.lua --augment\n"
     "\n"
     "A folder is taken as NYUD (gt_sets/), PASCAL-Context (JPEGImages/, ImageSets/Context/), ImageNet\n"
     "(its tar files), or any pictures; a script says itself, and --augment then is its last stage's.  -n\n"
     "limits the samples per split (show: 8).  Normals: red is right, green up, blue towards the\n"
     "camera.  Depth: yellow is near.  Dark violet is ignored.  Exit status 1 when something is wrong.",
     sak_verb_lua},
    {"cache", "ls|gc|check [SCRIPT]", 1, 2, "max set limit db threads json quiet", false,
     "features and stages that runs share: list, check, gc",
     "With `cache = true` in an experiment (or --set cache=true) what a frozen teacher computes of an\n"
     "image is kept beside the database, in cache/features, and every later trial and run takes it\n"
     "from there: a step then costs what the student costs, and teachers are not even loaded.\n"
     "\n"
     "  sak sweep ablations/router.lua --set cache=true\n"
     "  sak run experiments/three_teachers.lua --set cache.views=8 --set cache.dtype=bf16\n"
     "  sak cache ls                     teachers and stages, images, bytes, when they were used\n"
     "  sak cache gc                     removes what another build of sak made: this one cannot use it\n"
     "  sak cache gc --max 10G           and what was used longest ago, beyond that size\n"
     "  sak cache check                  every checksum; damaged entries are crossed out\n"
     "  sak cache check experiments/three_teachers.lua -n 200\n"
     "                                   computes 200 images of each stage again and compares\n"
     "\n"
     "Augmentation stays: each image is seen in cache.views ways (4), the same in all runs and for\n"
     "every seed, each also mirrored where flips are on; which one an epoch shows depends on the seed.\n"
     "All stages of all arms see them, with teachers or without.  Features are rounded to cache.dtype\n"
     "(fp16) whether they were there or not, so that a run has the same bits with an empty cache, a\n"
     "full one, or none it can write to.  An entry is found by the teacher's weights, preprocessing\n"
     "and precision, this build of sak, the CPU's kernels, and the very pixels: nothing is ever stale.\n"
     "It takes at most cache.gigabytes (10).  cache.verify = 0.01 has every run check one in a hundred.\n"
     "\n"
     "The trials of a sweep also share whole first stages, in cache/stages: where the graph, its initial\n"
     "weights, data, teachers, settings of the stage and seed are equal (arms that differ in the router,\n"
     "say), one trial trains it and the others begin with stage 2, with the very bits they would have\n"
     "trained.  They log that run's stage-1 metrics, without times, and a tag shared:<stage> names it.\n"
     "share_stages = true has single runs do so too, false switches it off.\n"
     "\n"
     "Exit status 1 when check finds something wrong.",
     sak_verb_lua},
    {"eval", "RUN", 1, 1, "split data set tasks checkpoint edge-protocol save db threads unsafe-lua json csv quiet",
     false, "score what a run trained, again or on other data",
     "Computes all metrics of the run's tasks as its last evaluation did, odsF included: for the same\n"
     "images and weights the same bits.  Prints them; the run's record stays as it is.\n"
     "\n"
     "  sak eval @last\n"
     "  sak eval 17 --split train --json\n"
     "  sak eval 17 --checkpoint best                 or the step of a checkpoint that was kept\n"
     "  sak eval 17 --data ../nyud --edge-protocol seism\n"
     "  sak eval 17 --data ../bsds --tasks edge       where only some labels fit\n"
     "  sak eval 17 --save predictions                every prediction too, and a sheet\n"
     "\n"
     "--split is val, train, or the name of any list of the data.  --data takes a folder in the place of\n"
     "the run's: of its own layout, or (for rooms) any that `sak data check` knows; tasks without labels\n"
     "there are left out.  --set changes the run's data and eval settings, for instance\n"
     "--set eval.edge_max_dist=0.0075.  --save writes as `sak predict` does; of an image larger than what\n"
     "is evaluated, its middle, the part that was scored.",
     sak_verb_lua},
    {"predict", "RUN IMAGE...", 2, -1,
     "save out tasks pad tile checkpoint db threads unsafe-lua json quiet", false,
     "what a run's student says of images of any size",
     "Predicts every task for PNG and JPEG files, and for all in folders.  Writes a sheet to look at\n"
     "(-o, default predictions.png), and with --save DIR every prediction by the image's name:\n"
     "\n"
     "  segmentation/, human_parts/   PNG, 8 bits: class k as k + 1; part k as k\n"
     "  depth/                        .npy, float32 metres\n"
     "  normals/                      PNG, n = 2 v / 255 - 1; x right, y up, z towards the camera\n"
     "  edge/, sal/                   PNG, probability in 8 bits\n"
     "\n"
     "  sak predict @last photo.jpg\n"
     "  sak predict 17 photos --save out --tasks depth,normals\n"
     "  sak predict 17 panorama.png --tile --save out\n"
     "  sak score edge out/edge --gt annotations\n"
     "\n"
     "--pad, the default: an image smaller than those of training is padded to their size, as in\n"
     "evaluation; a larger one is taken whole, padded to whole patches, and positions are resampled.\n"
     "--tile: windows of the size of training that overlap by half or more, their outputs blended; without\n"
     "either also what has more than 16 times the pixels of training.\n"
     "\n"
     "An image that cannot be read is named and the others go on; the exit status is 1 then.",
     sak_verb_lua},
    {"export", "NAME... FILE", 2, -1, "db format metric stage dtype json quiet", false,
     "weights or metrics of runs, for other programs",
     "Writes what runs left for other programs to read.  The ending of FILE or --format says what:\n"
     "\n"
     "  .safetensors, weights   the student of one run under the published names (backbone.vit.*,\n"
     "                          backbone.tsap.*, backbone.mor.*, heads.*; timm's for a teacher), with\n"
     "                          experiment, run and configuration as metadata.  PyTorch loads it with\n"
     "                          safetensors.torch.load_file, sak with student.weights = \"FILE\"\n"
     "  .csv, .jsonl            all points, one row each: run, uid, experiment, sweep, arm, cell, seed,\n"
     "                          state, metric, step, seconds, value; FILE - is standard output\n"
     "  tensorboard             a log folder with one run per folder, settings as text\n"
     "  mlflow                  an SQLite file in the layout of MLflow 2.9.2\n"
     "\n"
     "  sak export @last student.safetensors\n"
     "  sak export 17 stage1.safetensors --stage 1\n"
     "  sak export three_teachers half.safetensors --dtype bf16\n"
     "  sak export router points.csv --metric 'val/*'\n"
     "  sak export router 12 logs --format tensorboard   tensorboard --logdir logs\n"
     "  sak export '*' mlflow.db --format mlflow         mlflow ui --backend-store-uri sqlite:///mlflow.db\n"
     "\n"
     "NAME is a sweep (all its runs), a run as for `sak show`, or a pattern with * or ? over the names\n"
     "of runs, experiments and sweeps (all that match).  Unfinished and failed runs are taken too;\n"
     "`state` tells.  Only points that stand are written: steps that a resumed run repeated appear once.\n"
     "Files appear complete or not at all.  Tables and weights replace an older file; a log folder and\n"
     "a tracking database, which other programs may have added to, are never replaced.\n"
     "\n"
     "Weights: f16 and bf16 round to nearest even; running statistics stay f32.  TensorBoard keeps\n"
     "values in float.  Newer versions of MLflow ask for `mlflow db upgrade sqlite:///mlflow.db` first.",
     sak_verb_export},
    {"score", "edge DIR", 2, 2, "gt protocol max-dist thresholds threads json csv", false,
     "boundary F, OIS and AP of a folder of edge maps",
     "Scores edge maps (name.png, 8 bits, bright where there is an edge) against annotations\n"
     "(name.mat as in BSDS500, with all its annotators, or name.png, nonzero at boundaries): odsF,\n"
     "oisF and AP as the edge meter of a run computes them, the same bits for any --threads.\n"
     "\n"
     "  sak score edge results/edges --gt data/edges\n"
     "  sak score edge png --gt groundTruth --protocol bsds --thresholds 5\n"
     "  sak score edge png --gt groundTruth --json | jq .curve\n"
     "\n"
     "Protocols differ by about a point.  seism: non-maximum suppression on a smoothed map, rounded\n"
     "to 8 bits again, value >= threshold; plain: suppression without smoothing, value > threshold;\n"
     "both thin the annotations.  bsds: the benchmark as published, no suppression, annotations as\n"
     "they are, F interpolated between thresholds.  --max-dist is 0.0075 for BSDS and PASCAL,\n"
     "0.011 for NYUD.",
     sak_verb_score},
    {"ops", "[NAME]", 0, 1, "json csv", false, "the operations a script can compute with",
     "Lists every operation with inputs, attributes and their defaults (? marks a required one),\n"
     "equation and meaning; with NAME, one of them in full.  All are functions of tensors in Lua,\n"
     "for routers, adapters, heads and losses of your own.  nn lists what makes their parameters.\n"
     "\n"
     "  sak ops\n"
     "  sak ops softmax\n"
     "  sak ops nn\n"
     "  sak ops --json | jq -r '.[].name'",
     sak_verb_ops},
    {"doctor", "", 0, 0, "db threads json", false, "is this machine set up well?",
     "Looks at the processor and the kernels chosen for it, BLIS, threads, memory, libraries, the\n"
     "results database and the disk, and measures a matrix product.  Every finding comes with what\n"
     "to do about it.  Exit status 1 when something is wrong.\n"
     "\n"
     "  sak doctor\n"
     "  sak doctor --threads 1",
     sak_verb_doctor},
    {"bench", "[CASE...]", 0, -1, "threads steps precision set profile json", false,
     "how fast this machine trains the reference workloads",
     "Times training steps (forward, backward, update) of random models on synthetic inputs, each\n"
     "case in a process of its own, and prints step time, GFLOP/s, the fraction of a peak it\n"
     "measures beside it, peak memory and its parts, and where the time goes; --profile lists every\n"
     "operation, and what lies in memory at the peak.  FLOPs are counted as published\n"
     "models compute, so that programs compare; what is executed is printed too.\n"
     "\n"
     "  s1_full            stage 1, ViT-S student, three ViT-B teachers, 224x224, batch 8\n"
     "  s1_precomputed     the same, the teachers' features given\n"
     "  s2_nyud            stage 2, ViT-B student, 448x576, batch 2, four tasks, MoR\n"
     "  proxy              small: width 192, depth 12, 64x64, batch 32, three teachers\n"
     "  proxy_precomputed  the same, the teachers' features given\n"
     "\n"
     "These five run without CASE.  Others:\n"
     "\n"
     "  threads            what more threads bring, on the small workloads\n"
     "  scaling            exponents of step time in batch, tokens, width, depth, teachers, tasks\n"
     "  overhead           what logging, progress and routing dumps add to a step\n"
     "  data               images per second of the loader, stage by stage\n"
     "  kernels            matrix products by shape: our own tiles against BLIS (--steps: how often each)\n"
     "  start              how long the program takes to begin\n"
     "  tiny_stage1, tiny_stage2         both stages in milliseconds, for tests\n"
     "\n"
     "  sak bench proxy proxy_precomputed --steps 30\n"
     "  sak bench s1_full --threads 1 --profile\n"
     "  sak bench proxy --set student.adapter.down_ratio=8\n"
     "  sak bench --json | jq '.cases[] | {case, step_s, gflops}'",
     sak_verb_bench},
    {"completion", "SHELL", 1, 1, "", false, "completion for bash",
     "Prints a completion script.  In ~/.bashrc:\n"
     "\n"
     "  eval \"$(sak completion bash)\"",
     sak_verb_completion},
    {"help", "[VERB]", 0, 1, "", false, "this list, or how one verb works",
     "  sak help\n"
     "  sak help run                     the same as: sak run --help",
     sak_verb_help},
    {0},
};
