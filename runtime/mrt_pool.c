#include "runtime/mrt_pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

/* Spins before a thread sleeps: some tens of microseconds, about the gap between two steps. */
enum { SPINS = 2000 };

struct mrt_pool {
    int threads; /* the caller included */
    pthread_t *workers;
    pthread_mutex_t lock;
    pthread_cond_t wake; /* workers wait for a job */
    pthread_cond_t done; /* the caller waits for the last worker to leave the job */
    atomic_uint round;   /* counts jobs; written under the lock, spun upon without it */
    atomic_int inside;   /* workers in the job; changed under the lock */
    atomic_bool busy;    /* a parallel_for is running: nested and concurrent calls run serially */
    bool open;           /* workers may join the job; under the lock */
    bool quit;           /* under the lock */
    mrt_tile_fn *body;
    void *context;
    int64_t tiles;
    atomic_int_least64_t next; /* next tile to take */
};

static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void run_tiles(mrt_pool *pool) {
    for (;;) {
        const int64_t tile = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);
        if (tile >= pool->tiles) {
            return;
        }
        pool->body(pool->context, tile);
    }
}

/* Waits for a round other than `seen`; returns with the lock held. */
static void await_round(mrt_pool *pool, unsigned seen) {
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(&pool->round, memory_order_acquire) != seen) {
            break;
        }
        relax();
    }
    pthread_mutex_lock(&pool->lock);
    while (atomic_load_explicit(&pool->round, memory_order_relaxed) == seen && !pool->quit) {
        pthread_cond_wait(&pool->wake, &pool->lock);
    }
}

static void *worker_main(void *argument) {
    mrt_pool *pool = argument;
    unsigned seen = 0;
    for (;;) {
        await_round(pool, seen);
        if (pool->quit) {
            pthread_mutex_unlock(&pool->lock);
            return NULL;
        }
        seen = atomic_load_explicit(&pool->round, memory_order_relaxed);
        /* A worker that wakes up late finds the job closed and must not touch it. */
        const bool join = pool->open;
        if (join) {
            atomic_fetch_add_explicit(&pool->inside, 1, memory_order_relaxed);
        }
        pthread_mutex_unlock(&pool->lock);
        if (!join) {
            continue;
        }
        run_tiles(pool);
        pthread_mutex_lock(&pool->lock);
        if (atomic_fetch_sub_explicit(&pool->inside, 1, memory_order_release) == 1) {
            pthread_cond_signal(&pool->done);
        }
        pthread_mutex_unlock(&pool->lock);
    }
}

mrt_pool *mrt_pool_create(int threads) {
    if (threads < 1) {
        return NULL;
    }
    mrt_pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL) {
        return NULL;
    }
    pool->workers = calloc((size_t)threads, sizeof *pool->workers);
    if (pool->workers == NULL) {
        free(pool);
        return NULL;
    }
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pthread_cond_init(&pool->done, NULL);
    pool->threads = 1;
    while (pool->threads < threads) {
        if (pthread_create(&pool->workers[pool->threads - 1], NULL, worker_main, pool) != 0) {
            mrt_pool_destroy(pool);
            return NULL;
        }
        pool->threads++;
    }
    return pool;
}

void mrt_pool_destroy(mrt_pool *pool) {
    if (pool == NULL) {
        return;
    }
    pthread_mutex_lock(&pool->lock);
    pool->quit = true;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->threads - 1; i++) {
        pthread_join(pool->workers[i], NULL);
    }
    pthread_cond_destroy(&pool->done);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->lock);
    free(pool->workers);
    free(pool);
}

int mrt_pool_threads(const mrt_pool *pool) {
    return pool != NULL ? pool->threads : 1;
}

static void run_shared(mrt_pool *pool, int64_t tiles, mrt_tile_fn *body, void *context) {
    pthread_mutex_lock(&pool->lock);
    pool->body = body;
    pool->context = context;
    pool->tiles = tiles;
    atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
    pool->open = true;
    atomic_fetch_add_explicit(&pool->round, 1, memory_order_release);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);

    run_tiles(pool);
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(&pool->inside, memory_order_acquire) == 0) {
            break;
        }
        relax();
    }
    pthread_mutex_lock(&pool->lock);
    pool->open = false;
    while (atomic_load_explicit(&pool->inside, memory_order_relaxed) > 0) {
        pthread_cond_wait(&pool->done, &pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
}

void mrt_parallel_for(mrt_pool *pool, int64_t tiles, mrt_tile_fn *body, void *context) {
    if (tiles > 1 && mrt_pool_threads(pool) > 1) {
        if (!atomic_exchange_explicit(&pool->busy, true, memory_order_acquire)) {
            run_shared(pool, tiles, body, context);
            atomic_store_explicit(&pool->busy, false, memory_order_release);
            return;
        }
    }
    for (int64_t tile = 0; tile < tiles; tile++) {
        body(context, tile);
    }
}
