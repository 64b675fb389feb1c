#define _DEFAULT_SOURCE /* madvise */
#include "base/mapping.h"

#include <stdint.h>
#if defined(__linux__)
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int q8_map_file(const char *path, q8_mapping *out) {
  *out = (q8_mapping){NULL, 0};
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0)
    return 0;
  struct stat about;
  void *at = MAP_FAILED;
  if (fstat(file, &about) == 0 && S_ISREG(about.st_mode) && about.st_size > 0)
    at = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE, file, 0);
  close(file);
  if (at == MAP_FAILED)
    return 0;
  *out = (q8_mapping){at, (size_t)about.st_size};
  return 1;
}

void q8_unmap(q8_mapping *mapping) {
  if (mapping->size)
    munmap((void *)(uintptr_t)mapping->at, mapping->size);
  *mapping = (q8_mapping){NULL, 0};
}

void q8_unload(const q8_mapping *mapping, const void *at, size_t size) {
  uintptr_t begin = (uintptr_t)at, end = begin + size, first = (uintptr_t)mapping->at;
  if (begin < first || end > first + mapping->size)
    return;
  begin -= begin % (uintptr_t)sysconf(_SC_PAGESIZE); /* what shares a page with them is read again too */
  madvise((void *)begin, end - begin, MADV_DONTNEED);
}
#else
int q8_map_file(const char *path, q8_mapping *out) {
  (void)path;
  *out = (q8_mapping){NULL, 0};
  return 0;
}
void q8_unmap(q8_mapping *mapping) {
  (void)mapping;
}
void q8_unload(const q8_mapping *mapping, const void *at, size_t size) {
  (void)mapping, (void)at, (void)size;
}
#endif
