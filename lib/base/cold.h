/* cold.h - for setup in files that are compiled for speed. */
#ifndef Q8_BASE_COLD_H
#define Q8_BASE_COLD_H

/* A function that runs while a model is loaded or planned: compiled for size. What only such functions call becomes so
 * too, so nothing that loops over weights may be among it; and so does what calls one whatever happens. */
#define Q8_COLD __attribute__((cold))

#endif
