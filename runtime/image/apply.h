/* apply.h: a layer's changes, applied to a tree (OCI image-spec, layer.md "Applying Changesets").
 *
 * No name in the archive is ever walked by anybody but openat2(2) with RESOLVE_IN_ROOT, so that links of the tree count from its root, and
 * only for the folder that an entry is in; what is made, linked or removed there is named by its last component and a descriptor of that
 * folder, with calls that don't follow a link. ".." and names that whiteouts can't mean are errors, as is what would replace the root. */
#ifndef RAST_IMAGE_APPLY_H
#define RAST_IMAGE_APPLY_H

#include "runtime/image/tar.h"

struct apply_limits {
	uint64_t entries, file_size; /* at most */
};
struct apply_counts {
	uint64_t entries, bytes;
	unsigned lost_xattrs; /* that the file system or a policy of this machine doesn't take */
};

/* Apply the archive that source gives to the tree at rootfd. On failure the tree is in between: throw it away. */
int layer_apply(int rootfd, tar_source source, void *data, const struct apply_limits *limits, struct apply_counts *ret, struct err *e);

#endif
