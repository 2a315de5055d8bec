# Embeds lua/**/*.lua into the binary as one generated C file: {module name, text, length} rows.
function(sak_embed_lua target)
  file(GLOB_RECURSE modules CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/lua/*.lua)
  set(output ${CMAKE_BINARY_DIR}/sak_embedded_lua.c)
  add_custom_command(OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -DROOT=${CMAKE_SOURCE_DIR}/lua -DOUTPUT=${output}
      -P ${CMAKE_SOURCE_DIR}/scripts/cmake/embed_lua_write.cmake
    DEPENDS ${modules} ${CMAKE_SOURCE_DIR}/scripts/cmake/embed_lua_write.cmake
    VERBATIM)
  target_sources(${target} PRIVATE ${output})
endfunction()
