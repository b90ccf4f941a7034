# SPDX-License-Identifier: Apache-2.0
# sluice_bpf_skeleton(<name> [<folder>]): compiles <folder>/<name>.bpf.c, of bpf/
# if none is named, and makes <name>.skel.h available to whoever links the
# interface target <name>_skeleton.
#
# -mcpu=v3 (Linux 5.1) spares the verifier the shifts around 32-bit values.
find_program(SLUICE_BPF_CLANG NAMES clang-19 clang clang-16 clang-14 REQUIRED)
find_program(SLUICE_BPFTOOL bpftool PATHS /usr/sbin /sbin REQUIRED)

function(sluice_bpf_skeleton name)
  set(sources bpf)
  if(ARGC GREATER 1)
    set(sources ${ARGV1})
  endif()
  set(source ${PROJECT_SOURCE_DIR}/${sources}/${name}.bpf.c)
  set(folder ${CMAKE_CURRENT_BINARY_DIR}/${sources})
  set(object ${folder}/${name}.bpf.o)
  set(header ${folder}/${name}.skel.h)
  file(MAKE_DIRECTORY ${folder})
  add_custom_command(
    OUTPUT ${header}
    BYPRODUCTS ${object} ${object}.d
    DEPFILE ${object}.d
    DEPENDS ${source}
    COMMAND ${SLUICE_BPF_CLANG} -target bpf -mcpu=v3 -std=gnu11 -O2 -g
            -Wall -Wextra -Werror -fdebug-prefix-map=${PROJECT_SOURCE_DIR}=.
            -I${PROJECT_SOURCE_DIR}/include -I${PROJECT_SOURCE_DIR}
            -I/usr/include/${CMAKE_LIBRARY_ARCHITECTURE}
            -MD -MF ${object}.d -MT ${header} -c ${source} -o ${object}
    COMMAND ${SLUICE_BPFTOOL} gen skeleton ${object} name ${name}_bpf > ${header}
    COMMENT "BPF ${name}"
    VERBATIM)
  add_custom_target(${name}_skeleton_header DEPENDS ${header})
  add_library(${name}_skeleton INTERFACE)
  add_dependencies(${name}_skeleton ${name}_skeleton_header)
  target_include_directories(${name}_skeleton SYSTEM INTERFACE
                             $<BUILD_INTERFACE:${folder}>)
endfunction()
