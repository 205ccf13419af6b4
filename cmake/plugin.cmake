# The folder to install in xo-server: build/PRESET/xo-server-web-hooks, with the program inside.
set(PLUGIN_DIR ${CMAKE_BINARY_DIR}/xo-server-web-hooks)
file(GLOB_RECURSE PLUGIN_SOURCES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/plugin/*)
list(FILTER PLUGIN_SOURCES EXCLUDE REGEX "/node_modules/")
if(PLUGIN_SOURCES AND EXISTS ${PROJECT_SOURCE_DIR}/src/cli/cmd_schema.c) # needs `xo-hooks schema`
  add_custom_command(OUTPUT ${PLUGIN_DIR}/.stamp
    COMMAND ${CMAKE_COMMAND} -DSRC=${PROJECT_SOURCE_DIR}/plugin -DDST=${PLUGIN_DIR}
      -DBINARY=$<TARGET_FILE:xo-hooks> -DVERSION=${PROJECT_VERSION} -P ${PROJECT_SOURCE_DIR}/cmake/plugin-folder.cmake
    COMMAND ${CMAKE_COMMAND} -E touch ${PLUGIN_DIR}/.stamp
    DEPENDS ${PLUGIN_SOURCES} xo-hooks ${PROJECT_SOURCE_DIR}/cmake/plugin-folder.cmake
    COMMENT "Plugin folder xo-server-web-hooks" VERBATIM)
  add_custom_target(plugin ALL DEPENDS ${PLUGIN_DIR}/.stamp)
endif()
