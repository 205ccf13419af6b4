# Script mode: lays out the plugin folder. SRC, DST, BINARY, VERSION are given.
file(MAKE_DIRECTORY ${DST})
file(COPY ${SRC}/ DESTINATION ${DST} PATTERN node_modules EXCLUDE PATTERN package.json EXCLUDE)
configure_file(${SRC}/package.json ${DST}/package.json @ONLY)
file(COPY_FILE ${BINARY} ${DST}/xo-hooks.new)
file(RENAME ${DST}/xo-hooks.new ${DST}/xo-hooks) # a running program keeps its old file
# The schema of the configuration form comes from the one place: the program.
execute_process(COMMAND ${BINARY} schema OUTPUT_FILE ${DST}/hooks.schema.json RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "xo-hooks schema ended with ${status}")
endif()
