/* mapping.h - files to read, and in the address space where the system has that. */
#ifndef Q8_BASE_MAPPING_H
#define Q8_BASE_MAPPING_H

#include <stddef.h>
#include <stdio.h>

/* Opens a regular file to be read from its beginning. NULL, or what is wrong. */
const char *q8_open_file(const char *path, FILE **file, size_t *size);

/* Read-only; size 0: none. */
typedef struct q8_mapping {
  const void *at;
  size_t size;
  struct q8_mapping *next; /* of the same model */
} q8_mapping;

/* 0 if the file cannot be mapped: it may still be read. */
int q8_map_file(const char *path, q8_mapping *out);
/* It and those behind it. */
void q8_unmap(q8_mapping *mapping);
/* Those bytes leave memory until they are read again, if they lie in the mapping or one behind it. */
void q8_unload(const q8_mapping *mapping, const void *at, size_t size);

#endif
