# Flags shared by the compiler and the runtime. Contraction is off because evaluation order is part
# of the numeric contract (docs/quant_spec.md).
if(NOT TARGET mica_flags)
  add_library(mica_flags INTERFACE)
  target_compile_options(mica_flags INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -ffp-contract=off -fno-math-errno
    $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes -Wmissing-prototypes>)
  target_compile_definitions(mica_flags INTERFACE _GNU_SOURCE)
  set(CMAKE_C_STANDARD 11)
  set(CMAKE_C_FLAGS_RELEASE "-O3")
  set(CMAKE_CXX_FLAGS_RELEASE "-O2")
  if(MICA_WERROR)
    target_compile_options(mica_flags INTERFACE -Werror)
  endif()
  if(MICA_SANITIZE)
    add_compile_options(-fsanitize=address,undefined -fno-omit-frame-pointer -g)
    add_link_options(-fsanitize=address,undefined)
  endif()
endif()
