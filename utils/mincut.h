/* Minimum cut of a directed graph with capacities, by Dinic's method. */
#ifndef MICA_UTILS_MINCUT_H
#define MICA_UTILS_MINCUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct mica_mincut mica_mincut;

/* Nodes that every graph has. */
enum { MICA_CUT_SOURCE = 0, MICA_CUT_SINK = 1 };
#define MICA_CUT_NEVER (INT64_MAX / 4) /* capacity of an edge that must not be cut */

mica_mincut *mica_mincut_create(void);
void mica_mincut_destroy(mica_mincut *cut);
/* Number of the new node, counted from 2. */
size_t mica_mincut_node(mica_mincut *cut);
/* Edge that costs `capacity` (0 or more) when `from` is on the source's side and `to` is not. */
void mica_mincut_edge(mica_mincut *cut, size_t from, size_t to, int64_t capacity);
/* Cost of the cheapest cut; the sum of all capacities that are not NEVER must fit 62 bits. */
int64_t mica_mincut_run(mica_mincut *cut);
/* After a run: whether the node is on the source's side. Among equally cheap cuts that side is the
 * smallest. */
bool mica_mincut_is_source_side(const mica_mincut *cut, size_t node);

#endif
