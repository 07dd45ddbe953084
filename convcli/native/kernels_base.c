/* The kernels for every processor; on arm64, vectors of 16 bytes are NEON's. */
#define SUFFIX base
#define NAME "baseline"
#define VECTOR 16
#include "kernels.inc"
