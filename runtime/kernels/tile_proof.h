/* [byte-proof] Sums of products of bytes in 16 bits, exact for every input.
 *
 * vpmaddubsw adds two products of an unsigned and a signed byte and saturates at 16 bits. With A in
 * 0..most it is exact when the positive weights of the pair sum up to at most 32767 / most, and the
 * negative ones likewise: 128 for most = 255; 258 for most = 127, which any two weights keep. The
 * same bound on four weights makes the sum of two such results exact in 16 bits.
 *
 * A pair beyond the bound has two weights of one sign. One of them is turned: its element a becomes
 * 255 - a, its weight w becomes -w, and 255 * w joins the base of the column. What is left is a
 * pair of two signs, exact with any bytes. Only -128 cannot be turned, and a pair of two such is left to
 * products in 16 bits.
 *
 * A packed block is: lists of quads by what they need; weights in the order of the lists; masks (0xff:
 * turned) of those quads that have any, in this order. All of it follows from the weights and `most`.
 * Lists are cut into parts, so that a part of A stays in the first cache while one is gone through. */
#ifndef MRT_TILE_PROOF_H
#define MRT_TILE_PROOF_H

#include "runtime/kernels/tile_isa.h"

/* What a tile block begins with: one for each MRT_TILE_PART quads. */
typedef struct mrt_tile_lists {
    uint8_t joined; /* times two quads whose pairs may be added up in 16 bits */
    uint8_t exact;  /* quads that need nothing */
    uint8_t turned; /* with turned weights */
    uint8_t wide;   /* with a pair of -128, and maybe turned weights */
    uint8_t quad[MRT_TILE_PART]; /* in this order, from the first of the part */
} mrt_tile_lists;

/* Needs of the group of a depthwise block: these begin with a byte for each. */
enum { MRT_NEED_TURNED = 1, MRT_NEED_WIDE = 2 };

/* Turns weights where needed and brings quads of a part into the order of its list; writes lists or
 * needs, and masks. tile: int8 [quads][MRT_TILE_BLOCK][4], base of MRT_TILE_BLOCK columns. depthwise:
 * int8 [groups][MRT_DEPTHWISE_BLOCK][4] as in tile_isa.h, a mask (zeros before) for each, base of as
 * many channels. */
void mrt_tile_prove(int32_t most, int8_t *w, int64_t quads, uint8_t *masks, mrt_tile_lists *lists,
                    int32_t *base);
void mrt_tile_prove_depthwise(int32_t most, int8_t *w, int64_t groups, uint8_t *masks,
                              uint8_t *needs, int32_t *base);

#endif
