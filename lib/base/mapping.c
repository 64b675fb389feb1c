#define _DEFAULT_SOURCE /* madvise */
#include "base/mapping.h"

#include <limits.h>
#include <stdint.h>
#if defined(__unix__) || defined(__APPLE__)
#include <sys/stat.h>
#endif

const char *q8_open_file(const char *path, FILE **file, size_t *size) {
  long length = -1;
#if defined(__unix__) || defined(__APPLE__)
  struct stat about;
  if (stat(path, &about) == 0 && !S_ISREG(about.st_mode)) /* opening a pipe would wait */
    return "not a readable regular file";
#endif
  *file = fopen(path, "rb");
  if (!*file)
    return "cannot be opened for reading";
  if (fseek(*file, 0, SEEK_END) == 0)
    length = ftell(*file);
  if (length < 0 || length == LONG_MAX || fseek(*file, 0, SEEK_SET) != 0) { /* LONG_MAX: a folder */
    fclose(*file);
    return "not a readable regular file";
  }
  *size = (size_t)length;
  return NULL;
}

#if defined(__linux__)
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

int q8_map_file(const char *path, q8_mapping *out) {
  *out = (q8_mapping){.at = NULL};
  int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe does not wait, to be refused */
  if (file < 0)
    return 0;
  struct stat about;
  void *at = MAP_FAILED;
  if (fstat(file, &about) == 0 && S_ISREG(about.st_mode) && about.st_size > 0)
    at = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE, file, 0);
  close(file);
  if (at == MAP_FAILED)
    return 0;
  *out = (q8_mapping){.at = at, .size = (size_t)about.st_size};
  return 1;
}

void q8_unmap(q8_mapping *mapping) {
  for (q8_mapping *m = mapping; m; m = m->next)
    if (m->size)
      munmap((void *)(uintptr_t)m->at, m->size);
  *mapping = (q8_mapping){.at = NULL};
}

void q8_unload(const q8_mapping *mapping, const void *at, size_t size) {
  uintptr_t begin = (uintptr_t)at, end = begin + size;
  while (mapping && (begin < (uintptr_t)mapping->at || end > (uintptr_t)mapping->at + mapping->size))
    mapping = mapping->next;
  if (!mapping)
    return;
  begin -= begin % (uintptr_t)sysconf(_SC_PAGESIZE); /* what shares a page with them is read again too */
  madvise((void *)begin, end - begin, MADV_DONTNEED);
}
#else
int q8_map_file(const char *path, q8_mapping *out) {
  (void)path;
  *out = (q8_mapping){.at = NULL};
  return 0;
}
void q8_unmap(q8_mapping *mapping) {
  (void)mapping;
}
void q8_unload(const q8_mapping *mapping, const void *at, size_t size) {
  (void)mapping, (void)at, (void)size;
}
#endif
