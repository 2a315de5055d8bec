--- Settings of data: which images, where they and their labels lie, how they are stored.

local families = require "sak.schema.families"
local types = require "sak.types"

local family, schema = families.family, families.schema
local int, number, text, choice, list = types.int, types.number, types.text, types.choice, types.list
local map, either, size, spec = types.map, types.either, types.size, types.spec

local data_fields = {
  { "fraction", number { above = 0, max = 1 },
    "part of the training images that is used, taken evenly from the whole list", default = 1 },
}
local data = family("data", { doc = "images and labels" })
data "rooms" { doc = "Built-in procedural indoor scenes with exact labels for all tasks.",
  { "train", int { min = 1 }, "training images", default = 2000 },
  { "val", int { min = 1 }, "validation images", default = 400 },
  { "size", size, "image size in pixels", default = { 64, 96 } },
  { "seed", int { min = 0 }, "which rooms; independent of the run's seed", default = 0 },
  data_fields }

local colour = list(int { min = 0, max = 255 }, { min = 3, max = 3 })
local image_files = family("image_files", { doc = "where images lie", single = true })
image_files "image_files" { doc = "The pictures of a folder dataset: <root>/<dir>/<id><suffix>.",
  { "dir", text {}, "folder below the root; \"\" is the root itself", default = "images" },
  { "suffix", text {}, "end of the file names; any of .png, .jpg, .jpeg if not given" } }
local label_files = family("label_files", { doc = "where labels lie and how they are stored", single = true })
label_files "label_files" { doc = "One task's labels in a folder dataset: <root>/<dir>/<id><suffix>.",
  { "dir", text {}, "folder below the root", required = true },
  { "suffix", text {}, "end of the file names", default = ".png" },
  { "classes", either(int { min = 2, max = 255 }, list(text {}, { min = 2, max = 255 })),
    "semseg, human_parts: how many classes, or their names in order" },
  { "colours", list(colour, { min = 2, max = 255 }),
    "semseg, human_parts: each class's {red, green, blue}; stored values if not given" },
  { "offset", int { min = 0, max = 254 }, "semseg, human_parts: stored value of the first class; lower ones are unlabelled" },
  { "ignore", either(int { min = 0, max = 255 }, colour),
    "semseg, human_parts: stored value or colour that is unlabelled, as 255 always is" },
  { "scale", number { above = 0 }, "depth: metres per stored unit (.npy, or PNG of 8 or 16 bits)" },
  { "axes", list(choice { "x", "-x", "y", "-y", "z", "-z" }, { min = 3, max = 3 }),
    "normals: what the three channels hold; x right, y up, z towards the camera if not given" },
  { "threshold", int { min = 1, max = 255 }, "edge, sal: grey level from which on a pixel counts; 128 if not given" } }

local on_bad = { "on_bad", choice { "stop", "skip" },
  "a file that cannot be read stops the run, or the next sample takes its place and it is counted", default = "stop" }
local list_or_share = either(text {}, number { above = 0, max = 1 })
local depth_max = { "depth_max", number { above = 0 }, "depths beyond it (metres) are not scored", default = 80 }
local student_size = { "size", size, "image size the student sees", required = true }
data "folder" { doc = "A folder with images and labels: in the NYUD layout (images/, segmentation/, depth/, …, gt_sets/), or as 'image' and 'tasks' say.",
  { "root", text {}, "the folder", required = true },
  { "train", list_or_share,
    "training images: a list in gt_sets/, a list file below the root (ending in .txt), or a share of all images", default = "train" },
  { "val", list_or_share, "validation images, likewise; a share follows the training share", default = "val" },
  student_size,
  { "image", spec "image_files", "where the images are, if 'tasks' says where labels are" },
  { "tasks", map(spec "label_files", schema.tasks), "where each task's labels are; the NYUD layout if not given" },
  { "classes", int { min = 2 },
    "semseg classes; counted from the folder's classes.txt if not given" },
  { "parts", int { min = 2 }, "human-part classes, background included" },
  depth_max, on_bad, data_fields }
data "pascal" { doc = "PASCAL-Context in the layout of the published multi-task package: JPEGImages/, semseg/, human_parts/, …, ImageSets/Context/.",
  { "root", text {}, "the folder", required = true },
  { "train", text {}, "list of training images in ImageSets/Context/", default = "train" },
  { "val", text {}, "list of validation images in ImageSets/Context/", default = "val" },
  { "size", size, "image size the student sees", default = { 512, 512 } },
  on_bad, data_fields }
data "images" { doc = "Images without labels, for stage 1: all pictures in a folder and the folders in it, or in a tar archive.",
  { "root", text {}, "the folder, or the archive; it is read in place", required = true },
  student_size, on_bad, data_fields }
data "imagenet" { doc = "ImageNet-1k for stage 1: ILSVRC2012_img_<train>.tar as published, read in place, or <train>/<class>/*.JPEG.",
  { "root", text {}, "the folder that holds the archives or the folders", required = true },
  { "train", choice { "train", "val" }, "which half is trained on", default = "train" },
  { "size", size, "image size the student sees", default = { 384, 384 } },
  on_bad, data_fields }
