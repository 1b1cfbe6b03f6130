/* tree-priv.h: the parts of tree.h. */
#ifndef RAST_IMAGE_TREE_PRIV_H
#define RAST_IMAGE_TREE_PRIV_H

#include "runtime/image/tree.h"

#define TREE_DEPTH_MAX 512 /* one or two descriptors for each level */

int tree_copy(int from, int to, struct err *e); /* what is in folder from, and its own owner, mode and so on */

#endif
