# SPDX-License-Identifier: Apache-2.0
# Tests, benchmarks and examples: what developers build besides the library.
include(GoogleTest)
find_package(GTest REQUIRED)
# With SLUICE_UNITY: so many sources in one file. Not those with headers of
# libpcap, which define bpf_insn, as those of libbpf do.
function(sluice_unity target size)
  if(SLUICE_UNITY)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE ${size})
  endif()
endfunction()
set_source_files_properties(userspace/testing/pcap.cpp tests/bpf/meaning_test.cpp tests/pcap/meaning_test.cpp
                            PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)

# All tests/<kind>/*_test.cpp as one program <kind>_tests; each test is one to
# ctest, labelled <kind>. A skip is told, not taken for a pass. With sanitizers it
# is compiled in half the time unless OPTIMISED, as what it tests always is.
function(sluice_tests kind)
  cmake_parse_arguments(PARSE_ARGV 1 arg "SERIAL;OPTIMISED" "TIMEOUT" "LIBRARIES")
  file(GLOB sources CONFIGURE_DEPENDS tests/${kind}/*_test.cpp)
  if(NOT sources)
    return()
  endif()
  add_executable(${kind}_tests ${sources})
  sluice_unity(${kind}_tests 6)
  sluice_warnings(${kind}_tests)
  target_include_directories(${kind}_tests PRIVATE tests/support)
  target_link_libraries(${kind}_tests PRIVATE sluice ${arg_LIBRARIES} GTest::gtest_main GTest::gmock)
  if(SLUICE_SANITIZE AND NOT arg_OPTIMISED)
    target_compile_options(${kind}_tests PRIVATE -O0)
  endif()
  set(properties LABELS ${kind} TIMEOUT ${arg_TIMEOUT} SKIP_REGULAR_EXPRESSION "\\[  SKIPPED \\]")
  if(arg_SERIAL)
    list(APPEND properties RUN_SERIAL ON)
  endif()
  gtest_discover_tests(${kind}_tests TEST_PREFIX ${kind}. DISCOVERY_MODE PRE_TEST PROPERTIES ${properties})
endfunction()

sluice_tests(unit TIMEOUT 60)
sluice_tests(bpf TIMEOUT 120 LIBRARIES PkgConfig::libbpf pcap)
sluice_tests(sim OPTIMISED TIMEOUT 300 LIBRARIES sluice::testing)
# The example of a test is one of ours, too.
add_executable(example_reflect_test examples/reflect_test.cpp)
sluice_warnings(example_reflect_test)
target_link_libraries(example_reflect_test PRIVATE sluice::testing sluice::services GTest::gtest_main)
gtest_discover_tests(example_reflect_test TEST_PREFIX example. DISCOVERY_MODE PRE_TEST PROPERTIES LABELS pcap)
sluice_tests(pcap TIMEOUT 120
             LIBRARIES sluice::testing sluice::services nlohmann_json::nlohmann_json PkgConfig::libpcap)
if(TARGET pcap_tests)
  target_compile_definitions(pcap_tests PRIVATE SLUICE_PROGRAM="$<TARGET_FILE:sluice_cli>"
                             EXAMPLES_FOLDER="${PROJECT_BINARY_DIR}/examples")
  add_dependencies(pcap_tests sluice_cli example_udp_counter)
endif()

# The hosts around a handler, for tests and scripts/quickstart.sh.
file(GLOB traffic_sources CONFIGURE_DEPENDS tests/support/traffic*.cpp)
add_executable(traffic ${traffic_sources})
sluice_warnings(traffic)
target_link_libraries(traffic PRIVATE sluice fmt::fmt)

file(GLOB example_sources CONFIGURE_DEPENDS examples/*.cpp)
list(FILTER example_sources EXCLUDE REGEX "_test\\.cpp$")
foreach(source ${example_sources})
  cmake_path(GET source STEM name)
  add_executable(example_${name} ${source})
  set_target_properties(example_${name} PROPERTIES OUTPUT_NAME ${name} RUNTIME_OUTPUT_DIRECTORY examples)
  sluice_warnings(example_${name})
  target_link_libraries(example_${name} PRIVATE sluice::app)
endforeach()

if(EXISTS ${PROJECT_SOURCE_DIR}/tests/veth/veth_test.hpp)
  sluice_tests(veth SERIAL TIMEOUT 120 LIBRARIES sluice::testing sluice::services nlohmann_json::nlohmann_json)
  target_compile_definitions(veth_tests PRIVATE SLUICE_PROGRAM="$<TARGET_FILE:sluice_cli>"
                             TRAFFIC_PROGRAM="$<TARGET_FILE:traffic>"
                             EXAMPLES_FOLDER="$<TARGET_FILE_DIR:example_macswap>")
  add_dependencies(veth_tests sluice_cli traffic example_macswap example_forward example_udp_counter)
endif()

# Run by scripts/vm.sh, in machines with the NICs that they need.
file(GLOB vm_sources CONFIGURE_DEPENDS tests/vm/*_test.cpp)
add_executable(vm_tests ${vm_sources})
sluice_unity(vm_tests 4)
sluice_warnings(vm_tests)
target_include_directories(vm_tests PRIVATE tests/support)
target_link_libraries(vm_tests PRIVATE sluice::testing sluice::services nlohmann_json::nlohmann_json GTest::gtest_main)
target_compile_definitions(vm_tests PRIVATE SLUICE_PROGRAM="$<TARGET_FILE:sluice_cli>")
add_dependencies(vm_tests sluice_cli)
add_test(NAME style.WithoutAnArchiveThereIsNoMachine COMMAND tests/vm/offline.sh WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
set_tests_properties(style.WithoutAnArchiveThereIsNoMachine PROPERTIES LABELS style TIMEOUT 120 SKIP_RETURN_CODE 77)

# Sanitizers and debug information would have to reach the consumer, too.
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  add_test(NAME package.AnInstalledCopyCanBeBuiltAgainst
           COMMAND tests/package/install_test.sh ${CMAKE_BINARY_DIR} ${CMAKE_CXX_COMPILER} ${CMAKE_COMMAND}
           WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(package.AnInstalledCopyCanBeBuiltAgainst PROPERTIES LABELS package TIMEOUT 300)
endif()

# It builds with g++, whatever the preset: once is enough.
if(CMAKE_BUILD_TYPE STREQUAL "Release" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_test(NAME mutants.Slice COMMAND scripts/mutants.sh --slice --jobs 1 WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(mutants.Slice PROPERTIES LABELS mutants TIMEOUT 600)
endif()

# Each file compiles, but not with its MISTAKE: the compiler says what is wrong.
file(GLOB mistakes CONFIGURE_DEPENDS tests/compile_fail/*.cpp)
foreach(source ${mistakes})
  cmake_path(GET source STEM name)
  file(STRINGS ${source} message REGEX "^// SAYS: ")
  string(REPLACE "// SAYS: " "" message "${message}")
  set(compile ${CMAKE_CXX_COMPILER} -std=c++20 -fsyntax-only -I${PROJECT_SOURCE_DIR}/include ${source})
  add_test(NAME compile_fail.${name} COMMAND ${compile} -DMISTAKE)
  set_tests_properties(compile_fail.${name} PROPERTIES LABELS unit PASS_REGULAR_EXPRESSION "error: .*(${message})")
  add_test(NAME compile_fail.${name}.WithoutTheMistake COMMAND ${compile})
  set_tests_properties(compile_fail.${name}.WithoutTheMistake PROPERTIES LABELS unit)
endforeach()

# libFuzzer is clang's. A fixed slice is a test; what it finds becomes one, too.
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND SLUICE_SANITIZE MATCHES "address")
  target_compile_options(sluice PRIVATE -fsanitize=fuzzer-no-link)
  target_compile_options(sluice_testing PRIVATE -fsanitize=fuzzer-no-link)
  file(GLOB fuzzers CONFIGURE_DEPENDS tests/fuzz/*_fuzz.cpp)
  foreach(source ${fuzzers})
    cmake_path(GET source STEM name)
    string(REPLACE "_fuzz" "" corpus ${name})
    add_executable(${name} ${source})
    sluice_warnings(${name})
    target_compile_options(${name} PRIVATE -fsanitize=fuzzer)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    target_link_libraries(${name} PRIVATE sluice::testing)
    # Options of CLI11 take long to name.
    set(runs $<IF:$<STREQUAL:${corpus},config>,10000,100000>)
    file(GLOB dictionary CONFIGURE_DEPENDS tests/fuzz/corpus/${corpus}.dict)
    list(TRANSFORM dictionary PREPEND -dict=)
    file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz/${corpus})
    # What it learns goes into the first folder; the tree's is read.
    add_test(NAME fuzz.${corpus}
             COMMAND ${name} -runs=${runs} -seed=1 -max_len=4096 ${dictionary} -artifact_prefix=${CMAKE_BINARY_DIR}/fuzz/
                     ${CMAKE_BINARY_DIR}/fuzz/${corpus} ${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${corpus})
    set_tests_properties(fuzz.${corpus} PROPERTIES LABELS fuzz TIMEOUT 120)
  endforeach()
  target_link_libraries(expression_fuzz PRIVATE PkgConfig::libpcap)
  target_include_directories(expression_fuzz PRIVATE tests/support)
  target_include_directories(config_fuzz PRIVATE userspace/app)
  target_compile_options(sluice_app PRIVATE -fsanitize=fuzzer-no-link)
  target_link_libraries(config_fuzz PRIVATE sluice::app CLI11::CLI11)
endif()

find_package(benchmark REQUIRED)
add_executable(bench_ring bench/ring.cpp)
sluice_warnings(bench_ring)
target_link_libraries(bench_ring PRIVATE sluice benchmark::benchmark)
sluice_bpf_skeleton(steering bench)
add_executable(bench_steering bench/steering.cpp)
sluice_warnings(bench_steering)
target_link_libraries(bench_steering PRIVATE sluice::testing steering_skeleton PkgConfig::libbpf)
target_compile_definitions(bench_steering PRIVATE XDP_FILTER_FOLDER="/usr/lib/${CMAKE_LIBRARY_ARCHITECTURE}/bpf")
if(SLUICE_SANITIZE) # Too slow to be of use, but for vm_tests in soak.sh.
  set_target_properties(bench_ring bench_steering vm_tests PROPERTIES EXCLUDE_FROM_ALL ON)
endif()

# What is ours, tests aside; with SLUICE_TIDY, checked as it is compiled.
add_custom_target(shipped)
foreach(target sluice sluice_app sluice_testing sluice_cli traffic bench_ring bench_steering)
  add_dependencies(shipped ${target})
endforeach()
foreach(source ${example_sources})
  cmake_path(GET source STEM name)
  add_dependencies(shipped example_${name})
endforeach()
get_target_property(shipped_targets shipped MANUALLY_ADDED_DEPENDENCIES)
if(SLUICE_UNITY STREQUAL "all")
  foreach(target ${shipped_targets})
    sluice_unity(${target} 10)
  endforeach()
else()
  sluice_unity(sluice_app 6)
endif()
if(SLUICE_TIDY)
  set_target_properties(${shipped_targets} PROPERTIES CXX_CLANG_TIDY "clang-tidy-19;--quiet")
endif()

function(sluice_style name)
  add_test(NAME style.${name} COMMAND ${ARGN} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(style.${name} PROPERTIES LABELS style TIMEOUT 300)
endfunction()
set(style ${PROJECT_SOURCE_DIR}/tests/style)
sluice_style(FloorsHold ${style}/check_layers.py)
sluice_style(ChecksCanFail ${style}/check_test.py)
sluice_style(SourcesAreFormatted ${style}/check_format.sh)
sluice_style(DocumentsCompile ${style}/check_docs.py ${CMAKE_CXX_COMPILER})
sluice_style(UseAfterMoveIsAnError ${style}/check_use_after_move.sh)
sluice_style(HeadersAreSelfContained ${CMAKE_COMMAND} --build ${CMAKE_BINARY_DIR}
             --target all_verify_interface_header_sets)
