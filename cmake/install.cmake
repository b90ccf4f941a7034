# SPDX-License-Identifier: Apache-2.0
# What `cmake --install` puts where, and the package that finds it again:
#
#   find_package(sluice REQUIRED)                  # or COMPONENTS app testing
#   target_link_libraries(mine PRIVATE sluice::app)
#
# Each wing has an export of its own, so that one whose dependencies are not
# there is missing by itself.
include(CMakePackageConfigHelpers)
set(package_directory ${CMAKE_INSTALL_LIBDIR}/cmake/sluice)

# What asserts print of a file's name begins at the top of the source tree.
foreach(target sluice sluice_app sluice_testing sluice_cli)
  if(TARGET ${target})
    target_compile_options(${target} PRIVATE -fmacro-prefix-map=${PROJECT_SOURCE_DIR}/=)
  endif()
endforeach()

install(TARGETS sluice_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS sluice sluice_services EXPORT sluice FILE_SET HEADERS)
install(EXPORT sluice FILE sluice-targets.cmake NAMESPACE sluice:: DESTINATION ${package_directory})
foreach(wing app testing)
  if(TARGET sluice_${wing})
    install(TARGETS sluice_${wing} EXPORT sluice-${wing} FILE_SET HEADERS)
    install(EXPORT sluice-${wing} FILE sluice-${wing}-targets.cmake NAMESPACE sluice::
            DESTINATION ${package_directory})
  endif()
endforeach()

configure_package_config_file(cmake/sluice-config.cmake.in ${PROJECT_BINARY_DIR}/sluice-config.cmake
                              INSTALL_DESTINATION ${package_directory} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/sluice-config-version.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/sluice-config.cmake ${PROJECT_BINARY_DIR}/sluice-config-version.cmake
        DESTINATION ${package_directory})
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
