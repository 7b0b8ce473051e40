/* Everything native in one file to compile: one library, for float or for double. */

#include "dense.c"
#include "recurrent.c"

long vector_length(void) { return VL; }

int has_bfloat16(void) {
#ifdef __AVX512BF16__
    return !DOUBLE;
#else
    return 0;
#endif
}
