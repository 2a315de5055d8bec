-- Does SAK beat what one would do instead?  One feature for all teachers, no teachers, more width, a network
-- per task (what delta_m is measured against), and the teachers themselves.  `sak sweep ablations/baselines.lua`
local sak = require "sak"
local stage2 = require "shared.stage2"

local labels_only = { stage2(0) }

local function only(task)
  return { name = "only_" .. task, note = "a network of its own",
           set = { model = "single_task", stages = labels_only, ["student.tasks"] = { task } } }
end

return sak.ablation "baselines" {
  question = "Does SAK beat what one would do without it?",
  base = "experiments/three_teachers.lua",
  arms = {
    { name = "sak" },
    { name = "one_feature", note = "distilled too, but a linear head per teacher instead of paths (RADIO, Theia)",
      set = { model = "distill_heads" } },
    { name = "one_feature_wide", note = "the same, with as many parameters as SAK",
      set = { model = "distill_heads", ["student.stem.width"] = 144 } },
    { name = "no_stage1", note = "the same student and losses, from scratch", set = { stages = { stage2(1) } } },
    { name = "no_teachers", note = "shared encoder and heads", set = { model = "multi_task", stages = labels_only } },
    { name = "wide", note = "as many parameters as SAK, no paths, no teachers",
      set = { model = "wide", ["student.stem.width"] = 144, stages = labels_only } },
    { name = "all_teachers", note = "frozen, all of them at inference, heads on their joined features",
      set = { model = "all_teachers", stages = labels_only } },
    only "semseg", only "depth", only "normals", only "edge",
  },
  seeds = sak.seeds(5),
  objective = { metric = "val/semseg/mIoU" },
}
