/* A fixed pool of threads with static tiles.
 *
 * Work is cut into tiles whose number and borders must not depend on the number of threads, so that
 * results are the same bytes for any pool. Nested calls run in the calling thread. */
#ifndef MRT_POOL_H
#define MRT_POOL_H

#include <stdint.h>

typedef struct mrt_pool mrt_pool;

/* A pool of `threads` workers, the caller included (>= 1). NULL when threads cannot be started. */
mrt_pool *mrt_pool_create(int threads);
void mrt_pool_destroy(mrt_pool *pool);
/* Number of threads, the caller included; 1 for NULL. */
int mrt_pool_threads(const mrt_pool *pool);

/* Calls body(context, tile) for tile = 0..tiles-1, in any order, from any thread of the pool;
 * returns when all are done. `pool` may be NULL (serial). */
typedef void mrt_tile_fn(void *context, int64_t tile);
void mrt_parallel_for(mrt_pool *pool, int64_t tiles, mrt_tile_fn *body, void *context);

#endif
