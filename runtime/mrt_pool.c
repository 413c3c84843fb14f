#include "runtime/mrt_pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

/* A thread that waits spins, then gives its processor to whoever wants it, then sleeps. Gaps between the
 * steps of a network are of the order of SPIN_NS. */
enum { SPIN_NS = 20 * 1000, YIELD_NS = 100 * 1000, SPINS_PER_LOOK = 16 };

/* A job: its number in the upper half, an open flag, workers inside in the lower half. */
#define JOB_OPEN (UINT64_C(1) << 31)
#define JOB_NUMBER(state) ((state) >> 32)
#define JOB_INSIDE(state) ((state) & (JOB_OPEN - 1))

struct mrt_pool {
    int threads; /* the caller included */
    pthread_t *workers;
    atomic_uint_least64_t job; /* see above; fields below belong to the job while it is open */
    atomic_int_least64_t next; /* next tile to take */
    mrt_tile_fn *body;
    void *context;
    int64_t tiles;
    atomic_bool busy; /* a parallel_for is running: nested and concurrent calls run serially */
    atomic_bool quit;
    /* Only threads that sleep, and who wakes them, take the lock. */
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    atomic_int sleepers;       /* workers; raised before they look at `job` once more */
    atomic_bool caller_sleeps; /* likewise */
};

static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Waits awake until done(pool, seen) or the time is over. */
static bool wait_awake(mrt_pool *pool, bool (*is_done)(mrt_pool *, uint64_t), uint64_t seen) {
    const int64_t begin = now_ns();
    for (int64_t waited = 0; waited < SPIN_NS + YIELD_NS; waited = now_ns() - begin) {
        for (int i = 0; i < SPINS_PER_LOOK; i++) {
            if (is_done(pool, seen)) {
                return true;
            }
            relax();
        }
        if (waited > SPIN_NS) {
            sched_yield();
        }
    }
    return false;
}

/* --- workers --- */

static void run_tiles(mrt_pool *pool) {
    for (;;) {
        const int64_t tile = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);
        if (tile >= pool->tiles) {
            return;
        }
        pool->body(pool->context, tile);
    }
}

static bool has_other_job(mrt_pool *pool, uint64_t seen) {
    return JOB_NUMBER(atomic_load(&pool->job)) != seen || atomic_load(&pool->quit);
}

static void await_job(mrt_pool *pool, uint64_t seen) {
    if (wait_awake(pool, has_other_job, seen)) {
        return;
    }
    pthread_mutex_lock(&pool->lock);
    atomic_fetch_add(&pool->sleepers, 1);
    while (!has_other_job(pool, seen)) {
        pthread_cond_wait(&pool->wake, &pool->lock);
    }
    atomic_fetch_sub(&pool->sleepers, 1);
    pthread_mutex_unlock(&pool->lock);
}

/* Counts the worker in; false: the job was closed before, and must not be touched. */
static bool join_job(mrt_pool *pool, uint64_t *out_number) {
    uint64_t state = atomic_load(&pool->job);
    do {
        *out_number = JOB_NUMBER(state);
        if ((state & JOB_OPEN) == 0) {
            return false;
        }
    } while (!atomic_compare_exchange_weak(&pool->job, &state, state + 1));
    return true;
}

static void leave_job(mrt_pool *pool) {
    const uint64_t state = atomic_fetch_sub(&pool->job, 1) - 1;
    if (JOB_INSIDE(state) == 0 && atomic_load(&pool->caller_sleeps)) {
        pthread_mutex_lock(&pool->lock);
        pthread_cond_signal(&pool->done);
        pthread_mutex_unlock(&pool->lock);
    }
}

static void *worker_main(void *argument) {
    mrt_pool *pool = argument;
    uint64_t seen = 0;
    for (;;) {
        await_job(pool, seen);
        if (atomic_load(&pool->quit)) {
            return NULL;
        }
        if (join_job(pool, &seen)) {
            run_tiles(pool);
            leave_job(pool);
        }
    }
}

static void wake_workers(mrt_pool *pool) {
    if (atomic_load(&pool->sleepers) > 0) {
        pthread_mutex_lock(&pool->lock);
        pthread_cond_broadcast(&pool->wake);
        pthread_mutex_unlock(&pool->lock);
    }
}

/* --- the caller --- */

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
    atomic_store(&pool->quit, true);
    wake_workers(pool);
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

static bool is_empty(mrt_pool *pool, uint64_t seen) {
    (void)seen;
    return JOB_INSIDE(atomic_load(&pool->job)) == 0;
}

static void await_workers(mrt_pool *pool) {
    if (wait_awake(pool, is_empty, 0)) {
        return;
    }
    pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->caller_sleeps, true);
    while (!is_empty(pool, 0)) {
        pthread_cond_wait(&pool->done, &pool->lock);
    }
    atomic_store(&pool->caller_sleeps, false);
    pthread_mutex_unlock(&pool->lock);
}

static void run_shared(mrt_pool *pool, int64_t tiles, mrt_tile_fn *body, void *context) {
    pool->body = body;
    pool->context = context;
    pool->tiles = tiles;
    atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
    /* nobody is inside and the last job is closed: only the caller changes the word */
    const uint64_t number = JOB_NUMBER(atomic_load(&pool->job)) + 1;
    atomic_store(&pool->job, number << 32 | JOB_OPEN);
    wake_workers(pool);

    run_tiles(pool);
    atomic_fetch_and(&pool->job, ~JOB_OPEN);
    await_workers(pool);
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
