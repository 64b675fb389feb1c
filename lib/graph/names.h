/* names.h - a hash table from tensor names to numbers. Keys are not copied: they live in the graph's pool. */
#ifndef Q8_GRAPH_NAMES_H
#define Q8_GRAPH_NAMES_H

#include "base/memory.h"

struct q8_names;
struct q8_names *q8_names_create(const q8_host *host);
void q8_names_destroy(const q8_host *host, struct q8_names *names);
/* 0 if memory is refused. The name must not be in the table yet. */
int q8_names_put(const q8_host *host, struct q8_names *names, const char *name, int32_t value);
/* -1 if absent. */
int32_t q8_names_get(const struct q8_names *names, const char *name);

#endif
