#!/bin/sh
# The other ways to build: headers alone in C99 and C++, a bare `cc` without any flag, an installed copy.
. tests/support/lib.sh
CC=${CC:-cc}
if [ -n "$RUN" ]; then skip "other builds" "cross compiling"; finish; fi

for h in include/*.h; do
  echo "#include \"$(basename "$h")\"" > "$tmp/h.c"
  if $CC -std=c99 -pedantic -Wall -Wextra -Werror -Iinclude -fsyntax-only "$tmp/h.c" 2> "$tmp/log"; then ok "$h alone in C99"
  else fail "$h in C99: $(head -3 "$tmp/log")"; fi
  cp "$tmp/h.c" "$tmp/h.cc"
  if command -v c++ > /dev/null; then
    if c++ -std=c++11 -pedantic -Wall -Wextra -Werror -Iinclude -fsyntax-only "$tmp/h.cc" 2> "$tmp/log"; then ok "$h alone in C++"
    else fail "$h in C++: $(head -3 "$tmp/log")"; fi
  else skip "$h in C++" "no c++"; fi
done

if $CC -Iinclude -Ilib -Ikernels -w -o "$tmp/bare" examples/1_*.c lib/*/*.c kernels/*.c kernels/*/*.c -lm 2> "$tmp/log" && "$tmp/bare" > "$tmp/out"; then
  ok "bare cc build runs"
  "$BUILD"/examples/1_* > "$tmp/want" 2>&1
  if cmp -s "$tmp/out" "$tmp/want"; then ok "bare cc build prints the same"; else fail "bare cc build differs from the full one"; fi
else fail "bare cc build: $(head -3 "$tmp/log")"; fi

# Not /usr: pkg-config leaves out the directories that the compiler searches by itself.
if make -s install BUILD="$BUILD" CC="$CC" DESTDIR="$tmp/root" PREFIX=/opt/q8 > "$tmp/log" 2>&1; then
  ok "make install"
  if command -v pkg-config > /dev/null; then
    export PKG_CONFIG_PATH="$tmp/root/opt/q8/lib/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$tmp/root"
    if $CC -o "$tmp/installed" examples/1_*.c $(pkg-config --cflags --libs libqint8) 2> "$tmp/log" &&
       LD_LIBRARY_PATH="$tmp/root/opt/q8/lib" "$tmp/installed" > /dev/null; then ok "an example builds from the installed copy with pkg-config"
    else fail "installed copy: $(head -3 "$tmp/log")"; fi
  else skip "pkg-config" "not installed"; fi
  # For the default flags: what a library of all x86 instruction sets may weigh. To be lowered whenever it can be.
  limit=500000
  so=$tmp/root/opt/q8/lib/libqint8.so
  case $($CC -dumpmachine)-$($CC --version) in x86_64*Free\ Software*) gcc=1;; *) gcc=0;; esac
  if [ $gcc = 0 ] || [ -n "$CFLAGS" ] || ! command -v strip > /dev/null || grep -q __asan_init "$so"; then
    skip "size of the library" "not an x86 build by gcc with the default flags"
  else
    size=$(strip -o "$tmp/stripped.so" "$so" && wc -c < "$tmp/stripped.so")
    if [ "$size" -le $limit ]; then ok "libqint8.so has $size bytes, at most $limit"; else fail "libqint8.so has $size bytes, at most $limit"; fi
  fi
  make -s uninstall BUILD="$BUILD" DESTDIR="$tmp/root" PREFIX=/opt/q8
  if [ -z "$(find "$tmp/root" -type f -o -type l)" ]; then ok "make uninstall leaves nothing"; else fail "uninstall left $(find "$tmp/root" -type f)"; fi
else fail "make install: $(tail -3 "$tmp/log")"; fi
finish
