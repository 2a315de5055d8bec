-- Tensors of published checkpoints, at width 8, two blocks, 2x2 patches of 4 pixels: what the public
-- model definitions give to state_dict(), written out name by name. Each row is
--   { name, shape, parameter, k, n }: becomes parameter, part k of n of it; no parameter: not loaded.
local C, H, P = 8, 32, 4

--- Rows for each of two blocks: % in name and parameter is the block.
local function blocks(rows)
  local out = {}
  for i = 0, 1 do
    for _, r in ipairs(rows) do
      out[#out + 1] = { r[1]:gsub("%%", i), r[2], r[3] and r[3]:gsub("%%", i) or nil, r[4], r[5] }
    end
  end
  return out
end

--- Weight and bias rows of a layer.
local function layer(name, shape, parameter, k, n)
  return { name .. ".weight", shape, parameter and parameter .. ".weight", k, n },
    { name .. ".bias", { shape[1] }, parameter and parameter .. ".bias", k, n }
end

local function list(...)
  local out = {}
  local function add(v)
    if type(v[1]) == "string" then out[#out + 1] = v else for _, inner in ipairs(v) do add(inner) end end
  end
  for _, v in ipairs { ... } do add(v) end
  return out
end

local function pair(...) return { layer(...) } end

local function prefixed(prefix, rows)
  local out = {}
  for i, r in ipairs(rows) do out[i] = { prefix .. r[1], table.unpack(r, 2, 5) } end
  return out
end

local patch = { C, 3, P, P }

local timm_blocks = blocks(list(
  pair("blocks.%.norm1", { C }, "blocks.%.norm1"),
  pair("blocks.%.attn.qkv", { 3 * C, C }, "blocks.%.attn.qkv"),
  pair("blocks.%.attn.proj", { C, C }, "blocks.%.attn.proj"),
  pair("blocks.%.norm2", { C }, "blocks.%.norm2"),
  pair("blocks.%.mlp.fc1", { H, C }, "blocks.%.mlp.fc1"),
  pair("blocks.%.mlp.fc2", { C, H }, "blocks.%.mlp.fc2")))

local function timm(positions)
  return list({ "cls_token", { 1, 1, C }, "cls_token" }, { "pos_embed", { 1, positions or 5, C }, "pos_embed" },
    pair("patch_embed.proj", patch, "patch_embed.proj"), timm_blocks)
end

local hf_attention = list(
  pair("encoder.layer.%.attention.attention.query", { C, C }, "blocks.%.attn.qkv", 1, 3),
  pair("encoder.layer.%.attention.attention.key", { C, C }, "blocks.%.attn.qkv", 2, 3),
  pair("encoder.layer.%.attention.attention.value", { C, C }, "blocks.%.attn.qkv", 3, 3),
  pair("encoder.layer.%.attention.output.dense", { C, C }, "blocks.%.attn.proj"))

local function hf_embeddings()
  return list({ "embeddings.cls_token", { 1, 1, C }, "cls_token" },
    { "embeddings.position_embeddings", { 1, 5, C }, "pos_embed" },
    pair("embeddings.patch_embeddings.projection", patch, "patch_embed.proj"))
end

local hf_vit_blocks = blocks(list(hf_attention,
  pair("encoder.layer.%.intermediate.dense", { H, C }, "blocks.%.mlp.fc1"),
  pair("encoder.layer.%.output.dense", { C, H }, "blocks.%.mlp.fc2"),
  pair("encoder.layer.%.layernorm_before", { C }, "blocks.%.norm1"),
  pair("encoder.layer.%.layernorm_after", { C }, "blocks.%.norm2")))

local hf_tower = blocks(list(
  pair("encoder.layers.%.layer_norm1", { C }, "blocks.%.norm1"),
  pair("encoder.layers.%.self_attn.k_proj", { C, C }, "blocks.%.attn.qkv", 2, 3),
  pair("encoder.layers.%.self_attn.v_proj", { C, C }, "blocks.%.attn.qkv", 3, 3),
  pair("encoder.layers.%.self_attn.q_proj", { C, C }, "blocks.%.attn.qkv", 1, 3),
  pair("encoder.layers.%.self_attn.out_proj", { C, C }, "blocks.%.attn.proj"),
  pair("encoder.layers.%.layer_norm2", { C }, "blocks.%.norm2"),
  pair("encoder.layers.%.mlp.fc1", { H, C }, "blocks.%.mlp.fc1"),
  pair("encoder.layers.%.mlp.fc2", { C, H }, "blocks.%.mlp.fc2")))

local function sam_block(theirs, norm)
  return blocks(list(
    pair(theirs .. norm .. "1", { C }, "blocks.%.norm1"),
    { theirs .. "attn.rel_pos_h", { 3, 4 }, "blocks.%.attn.rel_pos_h" },
    { theirs .. "attn.rel_pos_w", { 3, 4 }, "blocks.%.attn.rel_pos_w" },
    pair(theirs .. "attn.qkv", { 3 * C, C }, "blocks.%.attn.qkv"),
    pair(theirs .. "attn.proj", { C, C }, "blocks.%.attn.proj"),
    pair(theirs .. norm .. "2", { C }, "blocks.%.norm2"),
    pair(theirs .. "mlp.lin1", { H, C }, "blocks.%.mlp.fc1"),
    pair(theirs .. "mlp.lin2", { C, H }, "blocks.%.mlp.fc2")))
end

local dinov2 = list({ "cls_token", { 1, 1, C }, "cls_token" }, { "pos_embed", { 1, 5, C }, "pos_embed" },
  { "register_tokens", { 1, 2, C }, "reg_token" }, { "mask_token", { 1, C } },
  pair("patch_embed.proj", patch, "patch_embed.proj"), timm_blocks,
  blocks { { "blocks.%.ls1.gamma", { C }, "blocks.%.ls1.gamma" }, { "blocks.%.ls2.gamma", { C }, "blocks.%.ls2.gamma" } },
  pair("norm", { C }))

--- Meta's sharded training keeps blocks in chunks: blocks.<chunk>.<block>.
local function chunked(rows)
  local out = {}
  for i, r in ipairs(rows) do out[i] = { r[1]:gsub("^blocks%.(%d+)%.", "blocks.%1.%1."), table.unpack(r, 2, 5) } end
  return out
end

local clip_spec = { pre_norm = true, patch_bias = false }
local dino_spec = { layer_scale = true, registers = 2 }
local gated = 24 -- hidden width of the gated MLP at ratio 4: 8 * 4 * 2/3, rounded up to 8

local function gated_dinov2(w12, w3)
  return list({ "cls_token", { 1, 1, C }, "cls_token" }, { "pos_embed", { 1, 5, C }, "pos_embed" },
    pair("patch_embed.proj", patch, "patch_embed.proj"), blocks(list(
    pair("blocks.%.norm1", { C }, "blocks.%.norm1"),
    pair("blocks.%.attn.qkv", { 3 * C, C }, "blocks.%.attn.qkv"),
    pair("blocks.%.attn.proj", { C, C }, "blocks.%.attn.proj"),
    { "blocks.%.ls1.gamma", { C }, "blocks.%.ls1.gamma" }, { "blocks.%.ls2.gamma", { C }, "blocks.%.ls2.gamma" },
    pair("blocks.%.norm2", { C }, "blocks.%.norm2"),
    pair("blocks.%.mlp." .. w12, { 2 * gated, C }, "blocks.%.mlp.w12"),
    pair("blocks.%.mlp." .. w3, { C, gated }, "blocks.%.mlp.w3"))))
end

return {
  { name = "timm ViT with its classifier", title = "timm", spec = {},
    rows = list(timm(), pair("norm", { C }), pair("head", { 10, C })) },
  { name = "timm names with separate query, key and value", title = "timm", spec = {}, rows = (function()
    local rows = {}
    for _, r in ipairs(timm()) do
      if r[1]:match "%.qkv%." then
        for k, part in ipairs { "q_proj", "k_proj", "v_proj" } do
          local shape = { C, r[2][2] }
          rows[#rows + 1] = { r[1]:gsub("qkv", part), shape, r[3], k, 3 }
        end
      else
        rows[#rows + 1] = r
      end
    end
    return rows
  end)() },
  { name = "timm ViT behind a data-parallel wrapper", title = "timm", spec = {},
    rows = prefixed("module.backbone.", list(timm(), pair("norm", { C }))) },
  { name = "SigLIP as OpenCLIP saves it", title = "timm", spec = { class_token = false }, rows = list(
    { "visual.trunk.pos_embed", { 1, 4, C }, "pos_embed" },
    prefixed("visual.trunk.", list(pair("patch_embed.proj", patch, "patch_embed.proj"), timm_blocks, pair("norm", { C }),
      { "attn_pool.latent", { 1, 1, C } }, pair("attn_pool.q", { C, C }), pair("attn_pool.kv", { 2 * C, C }))),
    { "text.token_embedding.weight", { 9, C } }, { "logit_scale", { 1 } }, { "logit_bias", { 1 } }) },
  { name = "timm DINOv2 with a gated MLP", title = "timm", spec = { layer_scale = true, act = "swiglu" },
    rows = gated_dinov2("fc1", "fc2") },
  { name = "Hugging Face ViT", title = "Hugging Face ViT", spec = {}, rows = prefixed("vit.", list(hf_embeddings(),
    hf_vit_blocks, pair("layernorm", { C }), pair("pooler.dense", { C, C }))), more = list(pair("classifier", { 10, C })) },
  { name = "Hugging Face DINOv2 with registers", title = "Hugging Face DINOv2", spec = dino_spec,
    rows = list(hf_embeddings(), { "embeddings.register_tokens", { 1, 2, C }, "reg_token" },
      { "embeddings.mask_token", { 1, C } },
      blocks(list(hf_attention,
        pair("encoder.layer.%.norm1", { C }, "blocks.%.norm1"),
        { "encoder.layer.%.layer_scale1.lambda1", { C }, "blocks.%.ls1.gamma" },
        pair("encoder.layer.%.norm2", { C }, "blocks.%.norm2"),
        pair("encoder.layer.%.mlp.fc1", { H, C }, "blocks.%.mlp.fc1"),
        pair("encoder.layer.%.mlp.fc2", { C, H }, "blocks.%.mlp.fc2"),
        { "encoder.layer.%.layer_scale2.lambda1", { C }, "blocks.%.ls2.gamma" })), pair("layernorm", { C })) },
  { name = "Hugging Face DINOv2 giant", title = "Hugging Face DINOv2", spec = { layer_scale = true, act = "swiglu" },
    rows = list(hf_embeddings(), { "embeddings.mask_token", { 1, C } }, blocks(list(hf_attention,
      pair("encoder.layer.%.norm1", { C }, "blocks.%.norm1"),
      { "encoder.layer.%.layer_scale1.lambda1", { C }, "blocks.%.ls1.gamma" },
      pair("encoder.layer.%.norm2", { C }, "blocks.%.norm2"),
      pair("encoder.layer.%.mlp.weights_in", { 2 * gated, C }, "blocks.%.mlp.w12"),
      pair("encoder.layer.%.mlp.weights_out", { C, gated }, "blocks.%.mlp.w3"),
      { "encoder.layer.%.layer_scale2.lambda1", { C }, "blocks.%.ls2.gamma" })), pair("layernorm", { C })) },
  { name = "Hugging Face CLIP, both towers", title = "Hugging Face CLIP", spec = clip_spec, rows = list(
    prefixed("vision_model.", list(
      { "embeddings.class_embedding", { C }, "cls_token" },
      { "embeddings.patch_embedding.weight", patch, "patch_embed.proj.weight" },
      { "embeddings.position_embedding.weight", { 5, C }, "pos_embed" },
      { "embeddings.position_ids", { 1, 5 } },
      pair("pre_layrnorm", { C }, "norm_pre"), hf_tower, pair("post_layernorm", { C }))),
    { "text_model.embeddings.token_embedding.weight", { 9, C } },
    pair("text_model.encoder.layers.0.self_attn.q_proj", { C, C }),
    { "visual_projection.weight", { 4, C } }, { "text_projection.weight", { 4, C } }, { "logit_scale", { 1 } }) },
  { name = "Hugging Face SigLIP", title = "Hugging Face SigLIP", spec = { class_token = false }, rows = list(
    prefixed("vision_model.", list(
      pair("embeddings.patch_embedding", patch, "patch_embed.proj"),
      { "embeddings.position_embedding.weight", { 4, C }, "pos_embed" },
      hf_tower, pair("post_layernorm", { C }), { "head.probe", { 1, 1, C } },
      { "head.attention.in_proj_weight", { 3 * C, C } }, { "head.attention.in_proj_bias", { 3 * C } },
      pair("head.attention.out_proj", { C, C }), pair("head.layernorm", { C }), pair("head.mlp.fc1", { H, C }))),
    { "text_model.embeddings.token_embedding.weight", { 9, C } }, { "logit_scale", { 1 } }, { "logit_bias", { 1 } }) },
  { name = "OpenAI CLIP, both towers", title = "OpenCLIP or OpenAI CLIP", spec = clip_spec, rows = list(
    prefixed("visual.", list(
      { "class_embedding", { C }, "cls_token" }, { "positional_embedding", { 5, C }, "pos_embed" }, { "proj", { C, 4 } },
      { "conv1.weight", patch, "patch_embed.proj.weight" }, pair("ln_pre", { C }, "norm_pre"),
      blocks(list(
        { "transformer.resblocks.%.attn.in_proj_weight", { 3 * C, C }, "blocks.%.attn.qkv.weight" },
        { "transformer.resblocks.%.attn.in_proj_bias", { 3 * C }, "blocks.%.attn.qkv.bias" },
        pair("transformer.resblocks.%.attn.out_proj", { C, C }, "blocks.%.attn.proj"),
        pair("transformer.resblocks.%.ln_1", { C }, "blocks.%.norm1"),
        pair("transformer.resblocks.%.mlp.c_fc", { H, C }, "blocks.%.mlp.fc1"),
        pair("transformer.resblocks.%.mlp.c_proj", { C, H }, "blocks.%.mlp.fc2"),
        pair("transformer.resblocks.%.ln_2", { C }, "blocks.%.norm2"))),
      pair("ln_post", { C }))),
    { "positional_embedding", { 7, C } }, { "text_projection", { C, 4 } }, { "token_embedding.weight", { 9, C } },
    { "transformer.resblocks.0.attn.in_proj_weight", { 3 * C, C } }, pair("transformer.resblocks.0.ln_1", { C }),
    pair("ln_final", { C }), { "logit_scale", { 1 } }, { "input_resolution", { 1 } }, { "context_length", { 1 } },
    { "vocab_size", { 1 } }) },
  { name = "Meta DINOv2 with registers", title = "Meta DINOv2", spec = dino_spec, rows = dinov2 },
  { name = "Meta DINOv2 in chunks, teacher of a training", title = "Meta DINOv2", spec = dino_spec,
    rows = list(prefixed("teacher.backbone.", chunked(dinov2)), { "teacher.dino_head.mlp.0.weight", { 4, C } }) },
  { name = "Meta DINOv2 giant", title = "Meta DINOv2", spec = { layer_scale = true, act = "swiglu" },
    rows = list(gated_dinov2("w12", "w3"), { "mask_token", { 1, C } }, pair("norm", { C })) },
  { name = "NVIDIA RADIO, as Hugging Face holds it", title = "NVIDIA RADIO",
    spec = { class_token = false, registers = 3, patch_bias = false }, rows = list(
      prefixed("radio_model.model.", list(
        { "patch_generator.embedder.weight", { C, 3 * P * P }, "patch_embed.proj.weight" },
        { "patch_generator.pos_embed", { 1, 4, C }, "pos_embed" },
        { "patch_generator.cls_token.token", { 3, C }, "reg_token" }, timm_blocks, pair("norm", { C }))),
      { "radio_model.input_conditioner.norm_mean", { 3, 1, 1 } }, { "radio_model.input_conditioner.norm_std", { 3, 1, 1 } },
      { "radio_model.summary_idxs", { 3 } }) },
  { name = "Theia", title = "Hugging Face ViT", spec = {}, rows = list(
    prefixed("backbone.model.", list(hf_embeddings(), hf_vit_blocks, pair("layernorm", { C }), pair("pooler.dense", { C, C }))),
    { "translator.backbone_adapter.adapter.0.weight", { C, C } }, { "translator.translator_heads.sam.0.weight", { C, C } }) },
  { name = "Meta SAM, whole", title = "Meta SAM", spec = { kind = "sam" }, rows = list(prefixed("image_encoder.", list(
      { "pos_embed", { 1, 2, 2, C }, "pos_embed" }, pair("patch_embed.proj", patch, "patch_embed.proj"),
      sam_block("blocks.%.", "norm"), { "neck.0.weight", { 4, C, 1, 1 } }, pair("neck.1", { 4 }))),
    { "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix", { 2, 4 } },
    { "mask_decoder.iou_token.weight", { 1, 4 } }) },
  { name = "Hugging Face SAM, whole", title = "Hugging Face SAM", spec = { kind = "sam" },
    rows = list(prefixed("vision_encoder.", list(
      { "pos_embed", { 1, 2, 2, C }, "pos_embed" }, pair("patch_embed.projection", patch, "patch_embed.proj"),
      sam_block("layers.%.", "layer_norm"), { "neck.conv1.weight", { 4, C, 1, 1 } }, pair("neck.layer_norm1", { 4 }))),
    { "shared_image_embedding.positional_embedding", { 2, 4 } }, { "prompt_encoder.no_mask_embed.weight", { 1, 4 } },
    { "mask_decoder.iou_token.weight", { 1, 4 } }) },
}
