#include "graph/names.h"

#include <string.h>

typedef struct entry {
  const char *name;
  int32_t value;
} entry;

struct q8_names {
  entry *slots; /* open addressing, a power of two, at most half full */
  size_t capacity, used;
};

static uint32_t hash(const char *text) { /* FNV-1a */
  uint32_t h = 2166136261u;
  for (; *text; text++)
    h = (h ^ (unsigned char)*text) * 16777619u;
  return h ^ (h >> 15);
}

struct q8_names *q8_names_create(const q8_host *host) {
  return q8_calloc(host, 1, sizeof(struct q8_names));
}

void q8_names_destroy(const q8_host *host, struct q8_names *names) {
  if (!names)
    return;
  q8_free(host, names->slots);
  q8_free(host, names);
}

static void insert(entry *slots, size_t capacity, entry e) {
  size_t i = hash(e.name) & (capacity - 1);
  while (slots[i].name)
    i = (i + 1) & (capacity - 1);
  slots[i] = e;
}

int q8_names_put(const q8_host *host, struct q8_names *names, const char *name, int32_t value) {
  if ((names->used + 1) * 2 > names->capacity) {
    size_t grown = names->capacity ? names->capacity * 2 : 64;
    entry *slots = q8_calloc(host, grown, sizeof *slots);
    if (!slots)
      return 0;
    for (size_t i = 0; i < names->capacity; i++)
      if (names->slots[i].name)
        insert(slots, grown, names->slots[i]);
    q8_free(host, names->slots);
    names->slots = slots;
    names->capacity = grown;
  }
  insert(names->slots, names->capacity, (entry){name, value});
  names->used++;
  return 1;
}

int32_t q8_names_get(const struct q8_names *names, const char *name) {
  if (!names->capacity)
    return -1;
  for (size_t i = hash(name) & (names->capacity - 1); names->slots[i].name; i = (i + 1) & (names->capacity - 1))
    if (!strcmp(names->slots[i].name, name))
      return names->slots[i].value;
  return -1;
}
