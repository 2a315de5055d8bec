# Embeds files into the binary as one generated C file: rows of {module name, file, text, length},
# `const sak_embedded <symbol>[]`, from every file of `folder` whose name ends as one of the given.
function(sak_embed target symbol folder)
  set(files "")
  foreach(ending ${ARGN})
    file(GLOB_RECURSE more CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${folder}/*.${ending})
    list(APPEND files ${more})
  endforeach()
  list(JOIN ARGN "," endings)
  set(output ${CMAKE_BINARY_DIR}/${symbol}.c)
  add_custom_command(OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -DROOT=${CMAKE_SOURCE_DIR}/${folder} -DENDINGS=${endings}
      -DSYMBOL=${symbol} -DOUTPUT=${output} -P ${CMAKE_SOURCE_DIR}/scripts/cmake/embed_write.cmake
    DEPENDS ${files} ${CMAKE_SOURCE_DIR}/scripts/cmake/embed_write.cmake
    VERBATIM)
  target_sources(${target} PRIVATE ${output})
endfunction()
