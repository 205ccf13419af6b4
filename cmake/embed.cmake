# Texts that become part of the program, from the one place where they are kept.

# xh_embed_text(STAGE FILE FUNCTION HEADER): a C file with `const char *FUNCTION(void)`, declared in HEADER.
function(xh_embed_text stage file function header)
  set(out ${CMAKE_BINARY_DIR}/embedded/${function}.c)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
  file(READ ${file} hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  file(CONFIGURE OUTPUT ${out} @ONLY CONTENT [[
#include "@header@"

static const char text[] = {@bytes@0};

const char *@function@(void)
{
  return text;
}
]])
  target_sources(${stage} PRIVATE ${out})
endfunction()

# xh_embed_lines(STAGE FILE FUNCTION HEADER): the same for `const char *const *FUNCTION(void)`, NULL-terminated.
function(xh_embed_lines stage file function header)
  set(out ${CMAKE_BINARY_DIR}/embedded/${function}.c)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
  file(STRINGS ${file} names)
  list(TRANSFORM names REPLACE "(.+)" "    \"\\1\"")
  list(JOIN names ",\n" lines)
  file(CONFIGURE OUTPUT ${out} @ONLY CONTENT [[
#include "@header@"

static const char *const lines[] = {
@lines@,
    0};

const char *const *@function@(void)
{
  return lines;
}
]])
  target_sources(${stage} PRIVATE ${out})
endfunction()
