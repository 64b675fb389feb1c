#!/bin/sh
# Every #include of the library against the layer table, and the kernels folder compiles alone.
. tests/support/lib.sh
while IFS=: read -r room allowed; do
  case "$room" in ''|'#'*) continue ;; esac
  if [ "$room" = kernels ]; then files=$(find kernels -name '*.[ch]'); else files=$(find "lib/$room" -name '*.[ch]' 2>/dev/null); fi
  bad=
  for f in $files; do
    for inc in $(sed -n 's/^ *# *include *"\([^"]*\)".*/\1/p' "$f"); do
      case "$inc" in
        qint8.h) [ "$room" != kernels ] && continue; to=public ;;
        kernel.h) to=kernels ;;
        */*) if [ "$room" = kernels ] && [ -f "kernels/$inc" ]; then to=kernels; else to=${inc%%/*}; fi ;;
        *) [ -f "$(dirname "$f")/$inc" ] && continue
           if [ "$room" = kernels ] && [ -f "kernels/$inc" ]; then to=kernels; else to=unknown; fi ;;
      esac
      [ "$to" = "$room" ] && continue
      case " $allowed " in *" $to "*) ;; *) bad="$bad $f->$inc" ;; esac
    done
  done
  if [ -n "$bad" ]; then fail "layer $room includes:$bad"; else ok "layer $room"; fi
done < tests/contract/layers.txt
for f in examples/*.c examples/qint8/*.c; do
  grep -n '# *include *"' "$f" | grep -v 'qint8\(_experimental\)\?\.h"' | while IFS= read -r line; do
    name=$(echo "$line" | sed 's/.*"\(.*\)".*/\1/')
    [ -f "$(dirname "$f")/$name" ] || echo "$f: $name"
  done
done > "$tmp/layers"
if [ -s "$tmp/layers" ]; then fail "examples include more than the public header: $(cat "$tmp/layers")"
else ok "examples see the public header only"; fi
finish
