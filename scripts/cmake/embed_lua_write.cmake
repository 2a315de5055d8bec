# Run by embed_lua.cmake: writes OUTPUT from every ROOT/**/*.lua.
file(GLOB_RECURSE files RELATIVE ${ROOT} ${ROOT}/*.lua)
list(SORT files)
set(arrays "")
set(rows "")
set(i 0)
foreach(file ${files})
  file(READ ${ROOT}/${file} hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(REGEX REPLACE "/init\\.lua$|\\.lua$" "" module ${file})
  string(REPLACE "/" "." module ${module})
  string(APPEND arrays "static const unsigned char m${i}[] = {${bytes}0};\n")
  string(APPEND rows "    {\"${module}\", \"${file}\", (const char *)m${i}, sizeof m${i} - 1},\n")
  math(EXPR i "${i} + 1")
endforeach()
file(WRITE ${OUTPUT} "/* Generated from lua/ by scripts/cmake/embed_lua_write.cmake. */\n"
  "#include \"bind/embedded.h\"\n\n${arrays}\n"
  "const sak_embedded sak_embedded_modules[] = {\n${rows}    {0},\n};\n")
