/* mapping.h - a file in the address space, where the system has that. */
#ifndef Q8_BASE_MAPPING_H
#define Q8_BASE_MAPPING_H

#include <stddef.h>

/* Read-only; size 0: none. */
typedef struct q8_mapping {
  const void *at;
  size_t size;
} q8_mapping;

/* 0 if the file cannot be mapped: it may still be read. */
int q8_map_file(const char *path, q8_mapping *out);
void q8_unmap(q8_mapping *mapping);
/* Those of the mapping's bytes leave memory until they are read again; nothing if `at` lies elsewhere. */
void q8_unload(const q8_mapping *mapping, const void *at, size_t size);

#endif
