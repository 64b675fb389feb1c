#!/bin/sh
# Only qint8_* leaves the shared library, every global of the archive has our prefix, nothing that ends or prints is called.
. tests/support/lib.sh
so=$BUILD/libqint8.so a=$BUILD/libqint8.a
exported=$(nm -D --defined-only "$so" | awk '{print $3}' | sed 's/@.*//' | grep -v '^QINT8_1.0$')
foreign=$(echo "$exported" | grep -v '^qint8_')
[ -z "$foreign" ] && [ -n "$exported" ] && ok "only qint8_* is exported ($(echo "$exported" | wc -l) symbols)" || fail "exported: $foreign"
missing=
for s in $(grep -o 'qint8_[a-z0-9_]*(' include/qint8.h | tr -d '(' | sort -u); do
  grep -q "QINT8_API.*[ *]$s(" include/qint8.h || continue
  echo "$exported" | grep -qx "$s" || missing="$missing $s"
done
[ -z "$missing" ] && ok "every declared function is defined" || fail "declared but not defined:$missing"
foreign=$(nm --defined-only "$a" 2>/dev/null | awk '$2 ~ /^[A-TV-Z]$/ {print $3}' | grep -v '^_*\(q8_\|qint8_\)' | grep -v '^__\(asan\|odr\|ubsan\|sanitizer\)' | sort -u)
[ -z "$foreign" ] && ok "every global of the archive has our prefix" || fail "unprefixed globals: $foreign"
called=$(nm -u "$a" 2>/dev/null | awk '{print $2}' | sed 's/@.*//' | grep -x 'abort\|exit\|_exit\|printf\|puts\|putchar\|vprintf\|__printf_chk\|stderr\|stdout\|perror\|system' | sort -u)
[ -z "$called" ] && ok "nothing aborts, exits or prints" || fail "the library calls: $called"
soname=$(objdump -p "$so" 2>/dev/null | sed -n 's/ *SONAME *//p')
[ "$soname" = libqint8.so.1 ] && ok "SONAME libqint8.so.1" || fail "SONAME is $soname"
needed=$(objdump -p "$so" 2>/dev/null | sed -n 's/ *NEEDED *//p' | grep -v '^lib[cm]\.so\|^ld-linux\|san\|libgcc_s' | tr '\n' ' ')
[ -z "$needed" ] && ok "depends on libc and libm alone" || fail "also needs: $needed"
finish
