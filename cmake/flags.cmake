# Warnings, sanitizers and hardening, in one place for every target.
set(XH_WARNINGS
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wundef
  -Wcast-qual -Wwrite-strings -Wformat=2 -Wvla -Wnull-dereference -Wimplicit-fallthrough -Wswitch-enum)

function(xh_flags target)
  target_compile_definitions(${target} PRIVATE
    _GNU_SOURCE XH_VERSION="${PROJECT_VERSION}" CURL_DISABLE_TYPECHECK)
  target_compile_options(${target} PRIVATE ${XH_WARNINGS})
  if(XH_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
  if(XH_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${XH_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
    target_link_options(${target} PUBLIC -fsanitize=${XH_SANITIZE})
  endif()
  if(XH_FUZZ)
    target_compile_options(${target} PRIVATE -fsanitize=fuzzer-no-link) # what libFuzzer steers by
  endif()
  if(XH_HARDEN)
    target_compile_options(${target} PRIVATE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3
      -fstack-protector-strong -fstack-clash-protection)
    if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
      target_compile_options(${target} PRIVATE -fcf-protection=full)
    endif()
    target_link_options(${target} PUBLIC -pie -Wl,-z,relro,-z,now,-z,noexecstack,--as-needed)
  endif()
endfunction()
