# Fuzz targets: tests/fuzz/fuzz_<parser>.c, one executable each. With SAK_FUZZ (the preset `fuzz`)
# libFuzzer drives them; otherwise replay.c does, and ctest replays corpus/<parser> as
# fuzz_replay_<parser>.
option(SAK_FUZZ "link the fuzz targets with libFuzzer (clang)" OFF)

function(sak_add_fuzz_targets library)
  file(GLOB sources CONFIGURE_DEPENDS tests/fuzz/fuzz_*.c)
  foreach(source ${sources})
    get_filename_component(name ${source} NAME_WE)
    string(REPLACE "fuzz_" "" parser ${name})
    add_executable(${name} ${source})
    target_include_directories(${name} PRIVATE tests)
    target_link_libraries(${name} PRIVATE ${library})
    if(SAK_FUZZ)
      target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    else()
      target_sources(${name} PRIVATE tests/fuzz/replay.c)
      add_test(NAME fuzz_replay_${parser} COMMAND ${name} tests/fuzz/corpus/${parser}
        WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
    endif()
  endforeach()
endfunction()
