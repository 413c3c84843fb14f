/* The front of noise with cross terms [search-cross in docs/accuracy.md].
 *
 * Found, not proven: the exact solver takes the products along edges, and all others as they are for a choice that was
 * good before; that choice is replaced a few times; at the budgets single ops and pairs are changed at last. */
#ifndef MICA_SEARCH_CROSS_FRONT_H
#define MICA_SEARCH_CROSS_FRONT_H

#include "passes/search/cross.h"

/* `start`: front of the model by addition. budgets: costs that matter. The result has no bounds (missing_*). */
void mica_cross_front(const mica_cross *cross, const mica_model *model, const mica_solve_front *start,
                      const double *budgets, size_t n_budgets, int threads, mica_solve_front *out);

#endif
