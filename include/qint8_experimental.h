/* qint8_experimental.h - what may still change between minor versions.
 *
 * Nothing declared here is covered by the ABI promise of qint8.h. There is nothing in it yet. */
#ifndef QINT8_EXPERIMENTAL_H
#define QINT8_EXPERIMENTAL_H

#include "qint8.h"

#endif
