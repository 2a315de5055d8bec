--- The names under which encoders are published, and the parameters here that they stand for
--- (timm's names).  One list of rules per source; names.lua applies them.

--- A rule is { theirs, ours }.  In both, # is a block's number and * the rest of the name; in theirs,
--- @ is a number that ours does not have, and in ours, #+1 the number after.  "ours 2/3": the second
--- of three tensors that lie below one another in one parameter (the fused query-key-value matrix).
---@class NameSource
---@field key string  as in `names = "hf_clip"`
---@field title string  as shown
---@field marks string[][]  a file that has all names of one list, behind a common prefix, is of this source
---@field inside string  the encoder's place in the whole model's file, "" for the top
---@field rules string[][]
---@field unused table<string, string[]>  tensors of the encoder that features do not need, by what they are
---@field beside table<string, string[]>  what else a whole model's file holds

---@type NameSource[]
local sources = {}

--- The same layer names under two block prefixes: ("encoder.layer.#.", "blocks.#.", { { a, b } … }).
local function blocks(theirs, ours, list)
  local rules = {}
  for i, rule in ipairs(list) do rules[i] = { theirs .. rule[1], ours .. rule[2] } end
  return rules
end

local function all(...)
  local rules = {}
  for _, list in ipairs { ... } do table.move(list, 1, #list, #rules + 1, rules) end
  return rules
end

local function source(key)
  return function(s)
    s.key, s.unused, s.beside, s.inside = key, s.unused or {}, s.beside or {}, s.inside or ""
    sources[#sources + 1] = s
  end
end

-- Hugging Face transformers ------------------------------------------------------------------------

local hf_attention = {
  { "attention.attention.query.*", "attn.qkv.* 1/3" },
  { "attention.attention.key.*", "attn.qkv.* 2/3" },
  { "attention.attention.value.*", "attn.qkv.* 3/3" },
  { "attention.output.dense.*", "attn.proj.*" },
}

local hf_embeddings = {
  { "embeddings.cls_token", "cls_token" },
  { "embeddings.register_tokens", "reg_token" },
  { "embeddings.position_embeddings", "pos_embed" },
  { "embeddings.patch_embeddings.projection.*", "patch_embed.proj.*" },
}

local hf_tops = { ["final norm"] = { "layernorm.*" }, pooler = { "pooler.*" },
  ["mask token"] = { "embeddings.mask_token" } }

source "hf_dinov2" {
  title = "Hugging Face DINOv2",
  marks = { { "embeddings.patch_embeddings.projection.weight", "encoder.layer.0.norm1.weight" } },
  rules = all(hf_embeddings, blocks("encoder.layer.#.", "blocks.#.", all(hf_attention, {
    { "norm1.*", "norm1.*" },
    { "norm2.*", "norm2.*" },
    { "layer_scale1.lambda1", "ls1.gamma" },
    { "layer_scale2.lambda1", "ls2.gamma" },
    { "mlp.fc1.*", "mlp.fc1.*" },
    { "mlp.fc2.*", "mlp.fc2.*" },
    { "mlp.weights_in.*", "mlp.w12.*" },
    { "mlp.weights_out.*", "mlp.w3.*" },
  }))),
  unused = hf_tops,
  beside = { classifier = { "classifier.*" } },
}

source "hf_vit" {
  title = "Hugging Face ViT",
  marks = { { "embeddings.patch_embeddings.projection.weight", "encoder.layer.0.layernorm_before.weight" } },
  rules = all(hf_embeddings, blocks("encoder.layer.#.", "blocks.#.", all(hf_attention, {
    { "layernorm_before.*", "norm1.*" },
    { "layernorm_after.*", "norm2.*" },
    { "intermediate.dense.*", "mlp.fc1.*" },
    { "output.dense.*", "mlp.fc2.*" },
  }))),
  unused = hf_tops,
  beside = { classifier = { "classifier.*" }, ["feature translator"] = { "translator.*" } }, -- Theia's
}

source "hf_swin" {
  title = "Hugging Face Swin",
  marks = { { "embeddings.patch_embeddings.projection.weight", "encoder.layers.0.blocks.0.layernorm_before.weight" } },
  rules = all({
    { "embeddings.patch_embeddings.projection.*", "patch_embed.proj.*" },
    { "embeddings.norm.*", "patch_embed.norm.*" },
    { "encoder.layers.#.downsample.*", "layers.#+1.downsample.*" },
  }, blocks("encoder.layers.#.blocks.#.", "layers.#.blocks.#.", {
    { "attention.self.query.*", "attn.qkv.* 1/3" },
    { "attention.self.key.*", "attn.qkv.* 2/3" },
    { "attention.self.value.*", "attn.qkv.* 3/3" },
    { "attention.self.relative_position_bias_table", "attn.relative_position_bias_table" },
    { "attention.output.dense.*", "attn.proj.*" },
    { "layernorm_before.*", "norm1.*" },
    { "layernorm_after.*", "norm2.*" },
    { "intermediate.dense.*", "mlp.fc1.*" },
    { "output.dense.*", "mlp.fc2.*" },
  })),
  unused = hf_tops,
  beside = { classifier = { "classifier.*" } },
}

local hf_tower = blocks("encoder.layers.#.", "blocks.#.", {
  { "self_attn.q_proj.*", "attn.qkv.* 1/3" },
  { "self_attn.k_proj.*", "attn.qkv.* 2/3" },
  { "self_attn.v_proj.*", "attn.qkv.* 3/3" },
  { "self_attn.out_proj.*", "attn.proj.*" },
  { "layer_norm1.*", "norm1.*" },
  { "layer_norm2.*", "norm2.*" },
  { "mlp.fc1.*", "mlp.fc1.*" },
  { "mlp.fc2.*", "mlp.fc2.*" },
})

source "hf_clip" {
  title = "Hugging Face CLIP",
  marks = { { "embeddings.patch_embedding.weight", "embeddings.class_embedding" } },
  inside = "vision_model.",
  rules = all({
    { "embeddings.class_embedding", "cls_token" },
    { "embeddings.position_embedding.weight", "pos_embed" },
    { "embeddings.patch_embedding.*", "patch_embed.proj.*" },
    { "pre_layrnorm.*", "norm_pre.*" }, -- spelt like this in every published file
  }, hf_tower),
  unused = { ["final norm"] = { "post_layernorm.*" }, constant = { "embeddings.position_ids" } },
  beside = { ["text tower"] = { "text_model.*" }, projections = { "visual_projection.*", "text_projection.*" },
    temperature = { "logit_scale" } },
}

source "hf_siglip" {
  title = "Hugging Face SigLIP",
  marks = { { "embeddings.patch_embedding.bias", "encoder.layers.0.self_attn.q_proj.weight" } },
  inside = "vision_model.",
  rules = all({
    { "embeddings.position_embedding.weight", "pos_embed" },
    { "embeddings.patch_embedding.*", "patch_embed.proj.*" },
  }, hf_tower),
  unused = { ["final norm"] = { "post_layernorm.*" }, pooling = { "head.*" },
    constant = { "embeddings.position_ids" } },
  beside = { ["text tower"] = { "text_model.*" }, temperature = { "logit_scale", "logit_bias" } },
}

local sam_blocks = {
  { "attn.*", "attn.*" },
  { "mlp.lin1.*", "mlp.fc1.*" },
  { "mlp.lin2.*", "mlp.fc2.*" },
}
local sam_beside = { ["prompt encoder"] = { "prompt_encoder.*", "shared_image_embedding.*" },
  ["mask decoder"] = { "mask_decoder.*" }, constant = { "pixel_mean", "pixel_std" } }

source "hf_sam" {
  title = "Hugging Face SAM",
  marks = { { "patch_embed.projection.weight", "layers.0.mlp.lin1.weight" } },
  inside = "vision_encoder.",
  rules = all({
    { "pos_embed", "pos_embed" },
    { "patch_embed.projection.*", "patch_embed.proj.*" },
  }, blocks("layers.#.", "blocks.#.", all({
    { "layer_norm1.*", "norm1.*" },
    { "layer_norm2.*", "norm2.*" },
  }, sam_blocks))),
  unused = { neck = { "neck.*" } },
  beside = sam_beside,
}

-- Their makers' own files --------------------------------------------------------------------------

source "meta_sam" {
  title = "Meta SAM",
  marks = { { "patch_embed.proj.weight", "blocks.0.mlp.lin1.weight" } },
  inside = "image_encoder.",
  rules = all({
    { "pos_embed", "pos_embed" },
    { "patch_embed.proj.*", "patch_embed.proj.*" },
  }, blocks("blocks.#.", "blocks.#.", all({
    { "norm1.*", "norm1.*" },
    { "norm2.*", "norm2.*" },
  }, sam_blocks))),
  unused = { neck = { "neck.*" } },
  beside = sam_beside,
}

source "radio" {
  title = "NVIDIA RADIO",
  marks = { { "patch_generator.embedder.weight", "blocks.0.norm1.weight" } },
  inside = "model.",
  rules = {
    { "patch_generator.embedder.*", "patch_embed.proj.*" }, -- a matrix over unfolded patches
    { "patch_generator.pos_embed", "pos_embed" },
    { "patch_generator.cls_token.token", "reg_token" }, -- summary and register tokens, in one table
    { "blocks.#.*", "blocks.#.*" },
  },
  unused = { ["final norm"] = { "norm.*" }, classifier = { "head.*" } },
  beside = { ["input normalisation"] = { "input_conditioner.*" }, ["index of summaries"] = { "summary_idxs" },
    ["adaptor heads"] = { "_heads.*", "_feature_projections.*", "adaptors.*" } },
}

source "openclip" {
  title = "OpenCLIP or OpenAI CLIP",
  marks = { { "conv1.weight", "class_embedding" } },
  inside = "visual.",
  rules = all({
    { "class_embedding", "cls_token" },
    { "positional_embedding", "pos_embed" },
    { "conv1.*", "patch_embed.proj.*" },
    { "ln_pre.*", "norm_pre.*" },
  }, blocks("transformer.resblocks.#.", "blocks.#.", {
    { "attn.in_proj_*", "attn.qkv.*" },
    { "attn.out_proj.*", "attn.proj.*" },
    { "ln_1.*", "norm1.*" },
    { "ln_2.*", "norm2.*" },
    { "ls_#.gamma", "ls#.gamma" },
    { "mlp.c_fc.*", "mlp.fc1.*" },
    { "mlp.c_proj.*", "mlp.fc2.*" },
  })),
  unused = { ["final norm"] = { "ln_post.*" }, projections = { "proj" }, pooling = { "attn_pool.*" } },
  beside = { ["text tower"] = { "transformer.*", "token_embedding.*", "positional_embedding", "ln_final.*", "text.*",
    "text_projection" }, temperature = { "logit_scale", "logit_bias" },
    ["image captioner"] = { "text_decoder.*" },
    constant = { "input_resolution", "context_length", "vocab_size" } },
}

source "meta_dinov2" {
  title = "Meta DINOv2",
  marks = { { "patch_embed.proj.weight", "blocks.0.0.norm1.weight" }, { "patch_embed.proj.weight", "mask_token" } },
  rules = {
    { "register_tokens", "reg_token" },
    { "blocks.@.#.*", "blocks.#.*" }, -- saved in chunks, as for sharded training
    { "blocks.#.*", "blocks.#.*" },
    { "patch_embed.proj.*", "patch_embed.proj.*" },
    { "cls_token", "cls_token" },
    { "pos_embed", "pos_embed" },
  },
  unused = { ["final norm"] = { "norm.*" }, ["mask token"] = { "mask_token" }, classifier = { "head.*" } },
  beside = { ["training heads"] = { "dino_head.*", "ibot_head.*", "teacher.dino_head.*", "teacher.ibot_head.*",
    "student.dino_head.*", "student.ibot_head.*", "dino_loss.*", "ibot_patch_loss.*" },
    ["student of the training"] = { "student.backbone.*" } },
}

-- timm ----------------------------------------------------------------------------------------------

local timm_tops = { ["final norm"] = { "norm.*", "fc_norm.*" }, classifier = { "head.*", "head_drop.*" },
  pooling = { "attn_pool.*" }, neck = { "neck.*" } }
local timm_beside = { ["text tower"] = { "text.*" }, temperature = { "logit_scale", "logit_bias" },
  projections = { "visual.head.*" } } -- of OpenCLIP, whose visual.trunk is timm's

source "ms_swin" {
  title = "Microsoft Swin",
  marks = { { "patch_embed.proj.weight", "layers.0.downsample.reduction.weight" } },
  rules = {
    { "layers.#.downsample.*", "layers.#+1.downsample.*" }, -- at the end of a stage
    { "layers.#.blocks.#.*", "layers.#.blocks.#.*" },
    { "patch_embed.*", "patch_embed.*" },
  },
  unused = timm_tops,
}

source "timm_swin" {
  title = "timm",
  marks = { { "patch_embed.proj.weight", "layers.0.blocks.0.attn.relative_position_bias_table" } },
  rules = {
    { "layers.#.downsample.*", "layers.#.downsample.*" },
    { "layers.#.blocks.#.*", "layers.#.blocks.#.*" },
    { "patch_embed.*", "patch_embed.*" },
  },
  unused = timm_tops,
}

source "timm" {
  title = "timm",
  marks = { { "patch_embed.proj.weight" } },
  rules = {
    { "cls_token", "cls_token" },
    { "reg_token", "reg_token" },
    { "pos_embed", "pos_embed" },
    { "patch_embed.*", "patch_embed.*" },
    { "norm_pre.*", "norm_pre.*" },
    { "blocks.#.attn.q_proj.*", "blocks.#.attn.qkv.* 1/3" },
    { "blocks.#.attn.k_proj.*", "blocks.#.attn.qkv.* 2/3" },
    { "blocks.#.attn.v_proj.*", "blocks.#.attn.qkv.* 3/3" },
    { "blocks.#.*", "blocks.#.*" },
  },
  unused = timm_tops,
  beside = timm_beside,
}

return sources
