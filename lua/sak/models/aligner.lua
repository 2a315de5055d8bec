--- Aligners: linear maps from student width to teacher width, used only in distillation and dropped
--- afterwards (sak-method.md section 3).

local aligner = {}

--- Whether this teacher needs one: "auto" aligns where the widths differ.
---@param switch boolean|"auto"
function aligner.wanted(switch, student_width, teacher_width)
  if switch == "auto" then return student_width ~= teacher_width end
  return switch
end

---@param f userdata (B, L, C)
---@return userdata (B, L, C_t)
function aligner.forward(nn, key, f, teacher_width)
  return nn:linear(key, f, teacher_width)
end

return aligner
